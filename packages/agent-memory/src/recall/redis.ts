import type { Argument, Connection } from '@evenkeel/core'
import {
  ByteBoundedLru,
  cosine,
  createKeyspace,
  defineScript,
  integerOf,
  type Keyspace,
  packVector,
  unpackVector,
} from '@evenkeel/core/kit'
import putLua from '../scripts/recall/put.lua'
import headLua from '../scripts/thread/head.lua'
import { asList } from '../stores/replies.js'
import { nearest, type RecallHit, type RecallItem, type RecallStore } from './port.js'

const putScript = defineScript({ name: 'agent-memory.recall-put', lua: `${headLua}\n${putLua}` })

interface Mirror {
  readonly version: string
  readonly items: readonly RecallItem[]
}

/**
 * Items that can be recalled, of all instances: in a vector set if the server has them (Redis 8), otherwise in a
 * hash, of which each process keeps a copy that it searches exactly.
 */
export class RedisRecall implements RecallStore {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #ttlMs: number
  readonly #mirrors = new ByteBoundedLru<Mirror>({
    maxEntries: 100,
    sizeOf: ({ items }) =>
      items.reduce((sum, { vector, payload }) => sum + 4 * vector.length + payload.length, 0),
  })
  #hasSets: boolean | undefined

  /** @param vectorSets `false` leaves the server's vector sets unused */
  constructor(redis: Connection, ttlMs: number, vectorSets = true) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, 'agent-memory')
    this.#ttlMs = ttlMs
    if (!vectorSets) this.#hasSets = false
  }

  async put(owner: string, items: readonly RecallItem[], removed: readonly string[]): Promise<void> {
    const usesSet = await this.#usesSets()
    const threads = [...new Set(items.flatMap(({ since }) => since?.thread ?? []))]
    const packed = items.flatMap(({ id, payload, vector, since }): Argument[] => [
      encodeURIComponent(id),
      payload,
      usesSet ? packVector(vector) : packVector(vector).toString('base64'),
      String(since?.thread === undefined ? 0 : 1 + threads.indexOf(since.thread)),
      String(since?.generation ?? ''),
    ])
    const gone = removed.map(encodeURIComponent)
    const args = [
      String(Math.ceil(this.#ttlMs)),
      usesSet ? '1' : '0',
      String(gone.length),
      ...gone,
      ...packed,
    ]
    const keys = [
      ...this.#keysOf(owner),
      this.#keys.key(owner, 'o'),
      ...threads.map((thread) => this.#keys.key(owner, 't', encodeURIComponent(thread))),
    ]
    await this.#redis.run(putScript, keys, args)
  }

  async generationOf(owner: string): Promise<number> {
    const key = this.#keys.key(owner, 'o')
    return integerOf('HGET', (await this.#redis.command(['HGET', key, 'g'], { key })) ?? 0)
  }

  async search(owner: string, vector: Float32Array, k: number): Promise<readonly RecallHit[]> {
    const [hash = '', set = ''] = this.#keysOf(owner)
    if (!(await this.#usesSets())) return nearest(await this.#mirrorOf(owner), vector, k, cosine)
    const asked = packVector(vector)
    const query = ['VSIM', set, 'FP32', asked, 'WITHSCORES', 'COUNT', String(k)]
    const flat = asList(await this.#redis.command(query, { key: set })).map(String)
    const ids = flat.filter((_, index) => index % 2 === 0)
    if (ids.length === 0) return []
    const payloads = asList(await this.#redis.command(['HMGET', hash, ...ids], { key: hash }))
    return ids.flatMap((id, index) => {
      const payload = payloads[index]
      // The set's score is (1 + cosine) / 2.
      const score = 2 * Number(flat[2 * index + 1]) - 1
      return typeof payload === 'string' ? [{ id: decodeURIComponent(id), payload, score }] : []
    })
  }

  async all(owner: string): Promise<ReadonlyMap<string, string>> {
    const items = await this.#fieldsOf(owner)
    const own = [...items].filter(([id]) => id !== ':n' && id !== ':g' && !id.startsWith('v:'))
    return new Map(own.map(([id, payload]) => [decodeURIComponent(id), payload]))
  }

  /** One round trip when nothing changed since the last search. */
  async #mirrorOf(owner: string): Promise<readonly RecallItem[]> {
    const [hash = ''] = this.#keysOf(owner)
    const version = String(await this.#redis.command(['HGET', hash, ':n'], { key: hash }))
    const known = this.#mirrors.get(owner)
    if (known?.version === version) return known.items
    const fields = await this.#fieldsOf(owner)
    const items: RecallItem[] = []
    for (const [id, payload] of fields) {
      const vector = fields.get(`v:${id}`)
      if (vector !== undefined)
        items.push({
          id: decodeURIComponent(id),
          payload,
          vector: unpackVector(Buffer.from(vector, 'base64')),
        })
    }
    this.#mirrors.set(owner, { version: fields.get(':n') ?? '', items })
    return items
  }

  async #fieldsOf(owner: string): Promise<Map<string, string>> {
    const [hash = ''] = this.#keysOf(owner)
    const flat = asList(await this.#redis.command(['HGETALL', hash], { key: hash })).map(String)
    const fields = new Map<string, string>()
    for (let index = 0; index < flat.length; index += 2) fields.set(flat[index] ?? '', flat[index + 1] ?? '')
    return fields
  }

  /** Asks the server once whether it has the command. */
  async #usesSets(): Promise<boolean> {
    this.#hasSets ??= asList(await this.#redis.command(['COMMAND', 'INFO', 'VADD']))[0] !== null
    return this.#hasSets
  }

  #keysOf(owner: string): string[] {
    return [this.#keys.key(owner, 'v'), this.#keys.key(owner, 'w')]
  }
}
