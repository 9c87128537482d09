import { randomUUID } from 'node:crypto'
import { type Connection, createKeyspace, defineScript, type Keyspace, type Reply } from '@evenkeel/core'
import type { PreparedMessage } from '../message.js'
import appendLua from '../scripts/append.lua'
import deleteLua from '../scripts/delete.lua'
import tailLua from '../scripts/tail.lua'
import {
  type AppendOptions,
  type AppendResult,
  type DeleteOptions,
  type DeleteResult,
  type Record,
  type Tail,
  type TailRequest,
  type ThreadId,
  type ThreadStore,
  tombstoneMs,
} from '../store.js'

const appendScript = defineScript({ name: 'agent-memory.append', lua: appendLua })
const tailScript = defineScript({ name: 'agent-memory.tail', lua: tailLua, readOnly: true })
const deleteScript = defineScript({ name: 'agent-memory.delete', lua: deleteLua })

/** Threads of all instances: one hash each, on the node of its owner. One round trip an operation. */
export class RedisThreadStore implements ThreadStore {
  readonly #redis: Connection
  readonly #keys: Keyspace

  constructor(redis: Connection) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, 'agent-memory')
  }

  async append(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    { ttlMs, generation }: AppendOptions,
  ): Promise<AppendResult> {
    const options = ['', String(Math.ceil(ttlMs)), randomUUID(), String(generation ?? '')]
    const args = [...options, ...messages.flatMap(argumentsOf)]
    const [status, second, ...rest] = asList(await this.#redis.run(appendScript, [this.#key(id)], args))
    if (status === 'conflict') return { status, id: decodeURIComponent(String(second)) }
    if (status === 'deleted') return { status, generation: Number(second) }
    const [known = 0, version = 0, ...seqs] = rest.map(Number)
    const stored = status === 'stored' ? 'stored' : 'duplicate'
    return { status: stored, epoch: String(second), generation: known, version, seqs }
  }

  async tail(id: ThreadId, { maxMessages, maxTokens }: TailRequest): Promise<Tail> {
    const args = [String(maxMessages), String(Math.min(maxTokens, Number.MAX_SAFE_INTEGER))]
    const reply = asList(await this.#redis.run(tailScript, [this.#key(id)], args))
    const [epoch, generation, version, count, pinned, records] = reply
    return {
      epoch: String(epoch),
      generation: Number(generation),
      version: Number(version),
      count: Number(count),
      pinned: readRecords(pinned),
      records: readRecords(records).reverse(),
    }
  }

  async delete(id: ThreadId, { token, generation }: DeleteOptions): Promise<DeleteResult> {
    const args = [token, String(generation ?? ''), String(tombstoneMs)]
    const reply = asList(await this.#redis.run(deleteScript, [this.#key(id)], args))
    return { existed: reply[0] === 1, generation: Number(reply[1]) }
  }

  #key({ owner, thread }: ThreadId): string {
    return this.#keys.key(owner, 't', encodeURIComponent(thread))
  }
}

function argumentsOf({ id, role, tokens, digest, body, opens, answers }: PreparedMessage): string[] {
  const counts = [String(opens.length), String(answers.length)]
  return [encodeURIComponent(id), role, String(tokens), digest, body, ...counts, ...opens, ...answers]
}

function readRecords(reply: Reply | undefined): Record[] {
  const flat = asList(reply)
  const records: Record[] = []
  for (let index = 0; index < flat.length; index += 2) {
    records.push(readRecord(Number(flat[index]), String(flat[index + 1])))
  }
  return records
}

function readRecord(seq: number, stored: string): Record {
  const lineEnd = stored.indexOf('\n')
  const [, id = '', role = '', tokens, ties = '', , , , counts = ''] = stored.slice(0, lineEnd).split('|')
  const [calls = 0, results = 0, strays = 0] = counts.split(',').map(Number)
  return {
    seq,
    id: decodeURIComponent(id),
    role,
    tokens: Number(tokens),
    ties: ties === '' ? [] : ties.split(',').map(Number),
    calls,
    results,
    strays,
    body: stored.slice(lineEnd + 1),
  }
}

function asList(reply: Reply | undefined): Reply[] {
  return Array.isArray(reply) ? reply : []
}
