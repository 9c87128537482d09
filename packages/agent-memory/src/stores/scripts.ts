import { defineScript } from '@evenkeel/core/kit'
import appendLua from '../scripts/thread/append.lua'
import deleteLua from '../scripts/thread/delete.lua'
import dumpLua from '../scripts/thread/dump.lua'
import editLua from '../scripts/thread/edit.lua'
import eraseLua from '../scripts/thread/erase.lua'
import forkLua from '../scripts/thread/fork.lua'
import headLua from '../scripts/thread/head.lua'
import leaseLua from '../scripts/thread/lease.lua'
import pageLua from '../scripts/thread/page.lua'
import pinLua from '../scripts/thread/pin.lua'
import putLua from '../scripts/thread/put.lua'
import recordsLua from '../scripts/thread/records.lua'
import remainsLua from '../scripts/thread/remains.lua'
import removeLua from '../scripts/thread/remove.lua'
import restoreLua from '../scripts/thread/restore.lua'
import spliceLua from '../scripts/thread/splice.lua'
import stateLua from '../scripts/thread/state.lua'
import stateReadLua from '../scripts/thread/state-read.lua'
import summariseLua from '../scripts/thread/summarise.lua'
import tailLua from '../scripts/thread/tail.lua'
import threadLua from '../scripts/thread/thread.lua'
import threadsLua from '../scripts/thread/threads.lua'

const ofThread = (name: string, lua: string) =>
  defineScript({ name: `agent-memory.${name}`, lua: `${headLua}\n${threadLua}\n${lua}` })
const ofRecords = (name: string, lua: string) => ofThread(name, `${recordsLua}\n${lua}`)
const ofHead = (name: string, lua: string, readOnly = false) =>
  defineScript({ name: `agent-memory.${name}`, lua: `${headLua}\n${lua}`, readOnly })
const reading = (name: string, lua: string) => ofHead(name, lua, true)

/** The scripts of the thread store, each after the parts that it shares with others. */
export const scripts = {
  append: ofRecords('append', appendLua),
  edit: ofRecords('edit', editLua),
  remove: ofRecords('remove', removeLua),
  pin: ofRecords('pin', pinLua),
  splice: ofRecords('splice', spliceLua),
  put: ofRecords('put', putLua),
  fork: ofRecords('fork', forkLua),
  state: ofThread('state', stateLua),
  summarise: ofThread('summarise', summariseLua),
  lease: ofThread('lease', leaseLua),
  tail: reading('tail', tailLua),
  page: reading('page', pageLua),
  stateRead: reading('state-read', stateReadLua),
  delete: ofHead('delete', deleteLua),
  threads: ofHead('threads', threadsLua),
  erase: ofHead('erase', eraseLua),
  remains: ofHead('remains', remainsLua),
  dump: reading('dump', dumpLua),
  restore: ofHead('restore', restoreLua),
}
