import type { Connection } from '@evenkeel/core'
import { ByteBoundedLru, createKeyspace, defineScript, type Keyspace } from '@evenkeel/core/kit'
import putLua from '../../../scripts/checkpoints/put.lua'
import readLua from '../../../scripts/checkpoints/read.lua'
import writesLua from '../../../scripts/checkpoints/writes.lua'
import { asList } from '../../../stores/replies.js'
import type { CheckpointStore, ReadCheckpoint, StoredCheckpoint, StoredWrite } from './port.js'

const putScript = defineScript({ name: 'agent-memory.checkpoint-put', lua: putLua })
const writesScript = defineScript({ name: 'agent-memory.checkpoint-writes', lua: writesLua })
const readScript = defineScript({ name: 'agent-memory.checkpoint-read', lua: readLua, readOnly: true })

/** Checkpoints of all instances, on plain Redis: a hash and a sorted set for each thread. */
export class RedisCheckpoints implements CheckpointStore {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #ttlMs: number
  /** Values that this process has sent to Redis: they are not sent again unless Redis lacks them. */
  readonly #sent = new ByteBoundedLru<true>({ maxEntries: 50_000, sizeOf: () => 0 })

  constructor(redis: Connection, ttlMs: number | undefined) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, 'agent-memory.checkpoints')
    this.#ttlMs = ttlMs ?? 0
  }

  /** One round trip; two when Redis has lost, or never had, what was sent with an earlier checkpoint. */
  async put(
    thread: string,
    { namespace, id, text, digests }: StoredCheckpoint,
    values: ReadonlyMap<string, string>,
  ): Promise<void> {
    const head = [String(Math.ceil(this.#ttlMs)), nameOf(namespace, id), `${digests.join(',')}\n${text}`]
    const refers = [String(digests.length), ...digests]
    const isSent = (digest: string) => this.#sent.get(`${thread} ${digest}`) === true
    let send = [...values.keys()].filter((digest) => !isSent(digest))
    for (let tries = 0; tries < 2; tries++) {
      const added = send.flatMap((digest) => [digest, values.get(digest) ?? ''])
      const args = [...head, ...refers, ...added]
      const missing = asList(await this.#redis.run(putScript, this.#keysOf(thread), args))
      if (missing.length === 0) {
        for (const digest of values.keys()) this.#sent.set(`${thread} ${digest}`, true)
        return
      }
      send = [...values.keys()]
    }
    throw new TypeError('A checkpoint’s values were not kept')
  }

  async putWrites(
    thread: string,
    namespace: string,
    id: string,
    writes: readonly StoredWrite[],
  ): Promise<void> {
    const own = writes.flatMap(({ task, index, text }) => [`${encodeURIComponent(task)},${index}`, text])
    const args = [String(Math.ceil(this.#ttlMs)), nameOf(namespace, id), ...own]
    await this.#redis.run(writesScript, this.#keysOf(thread).slice(0, 1), args)
  }

  async read(thread: string, namespace: string, id: string | undefined): Promise<ReadCheckpoint | undefined> {
    const args = [nameOf(namespace, ''), id === undefined ? '' : encodeURIComponent(id)]
    const reply = asList(await this.#redis.run(readScript, this.#keysOf(thread), args))
    const [name, checkpoint, values, writes] = reply
    if (name === undefined) return undefined
    const [digests = '', ...text] = String(checkpoint).split('\n')
    const own = pairsOf(asList(writes)).map(([write, body]) => {
      const comma = write.lastIndexOf(',')
      return {
        task: decodeURIComponent(write.slice(0, comma)),
        index: Number(write.slice(comma + 1)),
        text: body,
      }
    })
    return {
      namespace,
      id: decodeURIComponent(String(name).slice(String(name).indexOf('|') + 1)),
      text: text.join('\n'),
      digests: digests === '' ? [] : digests.split(','),
      values: new Map(pairsOf(asList(values))),
      writes: own,
    }
  }

  async names(thread: string): Promise<readonly (readonly [string, string])[]> {
    const [, index = ''] = this.#keysOf(thread)
    const names = asList(await this.#redis.command(['ZRANGE', index, '0', '-1'], { key: index })).map(String)
    const own = names.map((name) => {
      const [namespace = '', id = ''] = name.split('|').map(decodeURIComponent)
      return [namespace, id] as const
    })
    return own.sort(([one, first], [other, second]) =>
      one === other ? (first < second ? 1 : -1) : one < other ? -1 : 1,
    )
  }

  /** By SCAN over all keys of this kind: for operators, not for requests. */
  async *threads(): AsyncIterable<string> {
    const seen = new Set<string>()
    for await (const keys of this.#redis.scan(this.#keys.pattern('{'))) {
      for (const key of keys) {
        const thread = this.#keys.subjectOf(key, 'c')
        if (thread === undefined || seen.has(thread)) continue
        seen.add(thread)
        yield decodeURIComponent(thread)
      }
    }
  }

  async delete(thread: string): Promise<void> {
    const keys = this.#keysOf(thread)
    await this.#redis.command(['UNLINK', ...keys], { key: keys[0] ?? '' })
  }

  #keysOf(thread: string): string[] {
    const subject = encodeURIComponent(thread)
    return [this.#keys.key(subject, 'c'), this.#keys.key(subject, 'i')]
  }
}

function nameOf(namespace: string, id: string): string {
  return `${encodeURIComponent(namespace)}|${encodeURIComponent(id)}`
}

function pairsOf(flat: readonly unknown[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let index = 0; index < flat.length; index += 2)
    pairs.push([String(flat[index]), String(flat[index + 1])])
  return pairs
}
