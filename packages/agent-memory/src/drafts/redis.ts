import { randomUUID } from 'node:crypto'
import type { Connection, Reply } from '@evenkeel/core'
import { createKeyspace, defineScript, integerOf, type Keyspace, listOf, textOf } from '@evenkeel/core/kit'
import type { PreparedMessage } from '../messages/prepare.js'
import finalizeLua from '../scripts/drafts/finalize.lua'
import listLua from '../scripts/drafts/list.lua'
import readLua from '../scripts/drafts/read.lua'
import takeLua from '../scripts/drafts/take.lua'
import writeLua from '../scripts/drafts/write.lua'
import headLua from '../scripts/thread/head.lua'
import recordsLua from '../scripts/thread/records.lua'
import threadLua from '../scripts/thread/thread.lua'
import { argumentsOf } from '../stores/arguments.js'
import type { AppendResult } from '../stores/port.js'
import { standingOf } from '../stores/replies.js'
import type { ThreadId } from '../stores/thread-id.js'
import {
  type DraftEnd,
  type DraftId,
  type DraftReading,
  type DraftStore,
  type DraftWrite,
  type DraftWritten,
  type OpenDraft,
  type Piece,
  recoveredId,
} from './port.js'

const script = (name: string, ...lua: string[]) =>
  defineScript({ name: `agent-memory.draft-${name}`, lua: lua.join('\n') })
const scripts = {
  write: script('write', headLua, writeLua),
  read: script('read', readLua),
  list: script('list', listLua),
  take: script('take', takeLua),
  finalize: script('finalize', headLua, threadLua, recordsLua, finalizeLua),
}

/** Maximum number of pieces of one read. */
const maxRead = 500

/** Drafts of all instances: a stream each, and a hash of a thread's drafts on the node of its owner. */
export class RedisDrafts implements DraftStore {
  readonly #redis: Connection
  readonly #keys: Keyspace

  constructor(redis: Connection) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, 'agent-memory')
  }

  async write(id: DraftId, write: DraftWrite): Promise<DraftWritten> {
    const { token, ttlMs, kind } = write
    const number = 'number' in write ? write.number : 0
    const [text, omitted] = kind === 'piece' ? [write.text, write.omitted] : ['', 0]
    const [thread, draft] = [encodeURIComponent(id.thread), encodeURIComponent(id.draft)]
    const keys = [this.#stream(id), this.#hash(id), this.#keys.key(id.owner, 'd'), ...this.#threadKeys(id)]
    const args = [token, String(ttlMs), kind, String(number), text, String(omitted), draft, thread]
    const [status, generation] = listOf('draft-write', await this.#redis.run(scripts.write, keys, args))
    const told = textOf('draft-write', status)
    if (told === 'written') return { status: told, generation: integerOf('draft-write', generation) }
    return { status: told === 'fenced' ? told : 'gone' }
  }

  async read(id: DraftId, after: number): Promise<DraftReading | undefined> {
    const args = [String(after), String(maxRead), encodeURIComponent(id.draft)]
    const keys = [this.#stream(id), this.#hash(id)]
    const reply = listOf('draft-read', await this.#redis.run(scripts.read, keys, args))
    if (reply.length === 0) return undefined
    const silentMs = integerOf('draft-read', reply[0])
    const pieces: Piece[] = []
    let isEnded = false
    for (const entry of listOf('draft-read', reply[1] ?? null)) {
      const piece = pieceOf(entry)
      if (piece === undefined) isEnded = true
      else pieces.push(piece)
    }
    // The draft ended, and this read reached its last piece.
    if (silentMs < 0 && pieces.length < maxRead) isEnded = true
    return { pieces, isEnded, silentMs: Math.max(0, silentMs) }
  }

  async take(id: DraftId, token: string, idleMs: number) {
    const args = [encodeURIComponent(id.draft), token, String(idleMs)]
    const status = textOf('draft-take', await this.#redis.run(scripts.take, [this.#hash(id)], args))
    return status === 'taken' || status === 'alive' ? status : 'gone'
  }

  async finalize(id: DraftId, message: PreparedMessage, end: DraftEnd): Promise<AppendResult> {
    const { ttlMs, generation, token, number } = end
    const thread = encodeURIComponent(id.thread)
    const [hash = '', owner = ''] = this.#threadKeys(id)
    const keys = [
      hash,
      ...['i', 'x'].map((part) => this.#keys.key(id.owner, part)),
      owner,
      this.#stream(id),
      this.#hash(id),
    ]
    const head = ['', String(Math.ceil(ttlMs)), randomUUID(), String(generation ?? ''), '', '', thread]
    const own = [token, String(number), encodeURIComponent(id.draft)]
    const args = [...head, ...own, encodeURIComponent(recoveredId(id.draft)), ...argumentsOf(message)]
    const reply = listOf('draft-finalize', await this.#redis.run(scripts.finalize, keys, args))
    const status = textOf('draft-finalize', reply[0])
    if (status === 'conflict') return { status, id: message.id }
    if (status === 'fenced') return { status }
    const standing = standingOf(reply)
    if (status === 'deleted') return { status, generation: standing.generation }
    return {
      status: status === 'stored' ? status : 'duplicate',
      ...standing,
      before: integerOf('draft-finalize', reply[5]),
      seqs: [integerOf('draft-finalize', reply[6])],
    }
  }

  async list(id: ThreadId): Promise<readonly OpenDraft[]> {
    const reply = listOf('draft-list', await this.#redis.run(scripts.list, [this.#hash(id)], []))
    const open: OpenDraft[] = []
    for (let index = 0; index < reply.length; index += 3) {
      const draft = decodeURIComponent(textOf('draft-list', reply[index]) ?? '')
      open.push({ id: draft, silentMs: integerOf('draft-list', reply[index + 2]) })
    }
    return open
  }

  #stream(id: DraftId): string {
    return this.#keys.key(id.owner, 'd', encodeURIComponent(id.thread), encodeURIComponent(id.draft))
  }

  #hash(id: ThreadId): string {
    return this.#keys.key(id.owner, 'd', encodeURIComponent(id.thread))
  }

  #threadKeys(id: ThreadId): string[] {
    return [this.#keys.key(id.owner, 't', encodeURIComponent(id.thread)), this.#keys.key(id.owner, 'o')]
  }
}

/** `undefined` for a draft's end. */
function pieceOf(entry: Reply): Piece | undefined {
  const [number, fields] = listOf('draft-read', entry)
  const [field, text, , omitted] = listOf('draft-read', fields ?? null)
  if (textOf('draft-read', field) === 'e') return undefined
  return {
    number: Number.parseInt(textOf('draft-read', number) ?? '', 10),
    text: textOf('draft-read', text) ?? '',
    omitted: integerOf('draft-read', omitted ?? 0),
  }
}
