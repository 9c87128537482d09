import { type Connection, createKeyspace, defineScript, type Keyspace, type Reply } from '@evenkeel/core'
import type { PreparedMessage } from '../message.js'
import appendLua from '../scripts/append.lua'
import tailLua from '../scripts/tail.lua'
import type { AppendResult, Record, Tail, TailRequest, ThreadId, ThreadStore } from '../store.js'

const appendScript = defineScript({ name: 'agent-memory.append', lua: appendLua })
const tailScript = defineScript({ name: 'agent-memory.tail', lua: tailLua, readOnly: true })

/** Threads of all instances: one hash each, on the node of its owner. One round trip an operation. */
export class RedisThreadStore implements ThreadStore {
  readonly #redis: Connection
  readonly #keys: Keyspace

  constructor(redis: Connection) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, 'agent-memory')
  }

  async append(id: ThreadId, messages: readonly PreparedMessage[], ttlMs: number): Promise<AppendResult> {
    const args = [String(Math.ceil(ttlMs)), ...messages.flatMap(argumentsOf)]
    const reply = asList(await this.#redis.run(appendScript, [this.#key(id)], args))
    const [status, second, ...seqs] = reply
    if (status === 'conflict') return { status, id: decodeURIComponent(String(second)) }
    return {
      status: status === 'stored' ? status : 'duplicate',
      version: Number(second),
      seqs: seqs.map(Number),
    }
  }

  async tail(id: ThreadId, { maxMessages, maxTokens }: TailRequest): Promise<Tail> {
    const args = [String(maxMessages), String(Math.min(maxTokens, Number.MAX_SAFE_INTEGER))]
    const reply = asList(await this.#redis.run(tailScript, [this.#key(id)], args))
    const [count, version, systemSeq, system, flat] = reply
    const stored = asList(flat)
    const records: Record[] = []
    for (let index = stored.length - 2; index >= 0; index -= 2) {
      records.push(readRecord(Number(stored[index]), String(stored[index + 1])))
    }
    return {
      records,
      system: system === '' ? undefined : readRecord(Number(systemSeq), String(system)),
      count: Number(count),
      version: Number(version),
      stale: false,
      complete: true,
    }
  }

  async delete(id: ThreadId): Promise<boolean> {
    const key = this.#key(id)
    return (await this.#redis.command(['UNLINK', key], { key })) === 1
  }

  #key({ owner, thread }: ThreadId): string {
    return this.#keys.key(owner, 't', encodeURIComponent(thread))
  }
}

function argumentsOf({ id, role, tokens, digest, body, opens, answers }: PreparedMessage): string[] {
  const counts = [String(opens.length), String(answers.length)]
  return [encodeURIComponent(id), role, String(tokens), digest, body, ...counts, ...opens, ...answers]
}

function readRecord(seq: number, stored: string): Record {
  const lineEnd = stored.indexOf('\n')
  const [id = '', role = '', tokens, group] = stored.slice(0, lineEnd).split(' ')
  const body = stored.slice(lineEnd + 1)
  return { seq, id: decodeURIComponent(id), role, tokens: Number(tokens), group: Number(group), body }
}

function asList(reply: Reply | undefined): Reply[] {
  return Array.isArray(reply) ? reply : []
}
