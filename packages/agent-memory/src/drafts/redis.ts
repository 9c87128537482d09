import { randomUUID } from 'node:crypto'
import type { Connection } from '@evenkeel/core'
import { createKeyspace, defineScript, type Keyspace } from '@evenkeel/core/kit'
import type { PreparedMessage } from '../messages/prepare.js'
import finalizeLua from '../scripts/drafts/finalize.lua'
import takeLua from '../scripts/drafts/take.lua'
import writeLua from '../scripts/drafts/write.lua'
import headLua from '../scripts/thread/head.lua'
import recordsLua from '../scripts/thread/records.lua'
import threadLua from '../scripts/thread/thread.lua'
import { argumentsOf } from '../stores/arguments.js'
import type { AppendResult, WriteOptions } from '../stores/port.js'
import { asList, standingOf } from '../stores/replies.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { DraftId, DraftReading, DraftStore, Piece, PieceWrite } from './port.js'

const writeScript = defineScript({ name: 'agent-memory.draft-write', lua: writeLua })
const takeScript = defineScript({ name: 'agent-memory.draft-take', lua: takeLua })
const finalizeScript = defineScript({
  name: 'agent-memory.draft-finalize',
  lua: [headLua, threadLua, recordsLua, finalizeLua].join('\n'),
})

/** Drafts of all instances: a stream each, beside the thread. */
export class RedisDrafts implements DraftStore {
  readonly #redis: Connection
  readonly #keys: Keyspace

  constructor(redis: Connection) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, 'agent-memory')
  }

  async write(id: DraftId, { number, text, token, isEnd, ttlMs }: PieceWrite) {
    const keys = [this.#stream(id), this.#hash(id)]
    const args = [token, String(ttlMs), String(number), text, isEnd ? '1' : '0', nameOf(id)]
    const status = String(await this.#redis.run(writeScript, keys, args))
    return status === 'written' || status === 'fenced' ? status : 'gone'
  }

  async read(id: DraftId, after: number): Promise<DraftReading | undefined> {
    const key = this.#stream(id)
    const entries = asList(
      await this.#redis.command(['XRANGE', key, `(${after}-0`, '+', 'COUNT', '500'], { key }),
    )
    const pieces: Piece[] = []
    for (const entry of entries) {
      const [number, fields] = asList(entry)
      const [field, text] = asList(fields)
      if (field === 'e') return { pieces, isEnded: true }
      pieces.push({ number: Number.parseInt(String(number), 10), text: String(text) })
    }
    if (entries.length > 0) return { pieces, isEnded: false }
    const isThere = (await this.#redis.command(['EXISTS', key], { key })) === 1
    return isThere ? { pieces, isEnded: false } : undefined
  }

  async take(id: DraftId, token: string, idleMs: number) {
    const args = [nameOf(id), token, String(idleMs)]
    const status = String(await this.#redis.run(takeScript, [this.#hash(id)], args))
    return status === 'taken' || status === 'alive' ? status : 'gone'
  }

  async finalize(
    id: DraftId,
    message: PreparedMessage,
    { ttlMs, token, number }: WriteOptions & { readonly token: string; readonly number: number },
  ): Promise<AppendResult> {
    const { owner } = id
    const thread = encodeURIComponent(id.thread)
    const written = [
      this.#keys.key(owner, 't', thread),
      ...['i', 'x', 'o'].map((part) => this.#keys.key(owner, part)),
    ]
    const head = ['', String(Math.ceil(ttlMs)), randomUUID(), '', '', '', thread]
    const args = [...head, token, String(number), nameOf(id), ...argumentsOf(message)]
    const keys = [...written, this.#stream(id), this.#hash(id)]
    const reply = asList(await this.#redis.run(finalizeScript, keys, args))
    const status = String(reply[0])
    if (status === 'conflict') return { status, id: message.id }
    if (status === 'fenced') return { status }
    const seqs = [Number(reply[6])]
    return {
      status: status === 'stored' ? status : 'duplicate',
      ...standingOf(reply),
      before: Number(reply[5]),
      seqs,
    }
  }

  async list(id: ThreadId): Promise<readonly string[]> {
    const key = this.#hash(id)
    const names = asList(await this.#redis.command(['HKEYS', key], { key })).map(String)
    const prefix = `${encodeURIComponent(id.thread)}|`
    const own = names.filter((name) => name.startsWith(prefix))
    return own.map((name) => decodeURIComponent(name.slice(prefix.length)))
  }

  #stream(id: DraftId): string {
    return this.#keys.key(id.owner, 'd', encodeURIComponent(id.thread), encodeURIComponent(id.draft))
  }

  #hash({ owner }: ThreadId): string {
    return this.#keys.key(owner, 'd')
  }
}

function nameOf({ thread, draft }: DraftId): string {
  return `${encodeURIComponent(thread)}|${encodeURIComponent(draft)}`
}
