import { defineScript } from '@evenkeel/core'
import appendLua from '../scripts/append.lua'
import deleteLua from '../scripts/delete.lua'
import dumpLua from '../scripts/dump.lua'
import editLua from '../scripts/edit.lua'
import eraseLua from '../scripts/erase.lua'
import forkLua from '../scripts/fork.lua'
import headLua from '../scripts/head.lua'
import leaseLua from '../scripts/lease.lua'
import pageLua from '../scripts/page.lua'
import pinLua from '../scripts/pin.lua'
import recordsLua from '../scripts/records.lua'
import removeLua from '../scripts/remove.lua'
import restoreLua from '../scripts/restore.lua'
import spliceLua from '../scripts/splice.lua'
import stateLua from '../scripts/state.lua'
import stateReadLua from '../scripts/state-read.lua'
import summariseLua from '../scripts/summarise.lua'
import tailLua from '../scripts/tail.lua'
import threadLua from '../scripts/thread.lua'
import threadsLua from '../scripts/threads.lua'

const ofThread = (name: string, lua: string) =>
  defineScript({ name: `agent-memory.${name}`, lua: `${headLua}\n${threadLua}\n${lua}` })
const ofRecords = (name: string, lua: string) => ofThread(name, `${recordsLua}\n${lua}`)
const ofHead = (name: string, lua: string, readOnly = false) =>
  defineScript({ name: `agent-memory.${name}`, lua: `${headLua}\n${lua}`, readOnly })
const reading = (name: string, lua: string) => ofHead(name, lua, true)

/** What a thread's store runs in Redis, each behind the pieces that it shares with others. */
export const scripts = {
  append: ofRecords('append', appendLua),
  edit: ofRecords('edit', editLua),
  remove: ofRecords('remove', removeLua),
  pin: ofRecords('pin', pinLua),
  splice: ofRecords('splice', spliceLua),
  fork: ofRecords('fork', forkLua),
  state: ofThread('state', stateLua),
  summarise: ofThread('summarise', summariseLua),
  lease: ofThread('lease', leaseLua),
  tail: reading('tail', tailLua),
  page: reading('page', pageLua),
  stateRead: reading('state-read', stateReadLua),
  delete: ofHead('delete', deleteLua),
  threads: defineScript({ name: 'agent-memory.threads', lua: threadsLua }),
  erase: ofHead('erase', eraseLua),
  dump: reading('dump', dumpLua),
  restore: ofHead('restore', restoreLua),
}
