import { randomUUID } from 'node:crypto'
import { type Connection, defineScript } from '@evenkeel/core'
import { createKeyspace, createLog, isOutage } from '@evenkeel/core/kit'
import addLua from '../scripts/stats-add.lua'
import {
  type CacheStats,
  type Counts,
  countNames,
  type MutableCounts,
  noCounts,
  type StatsBook,
  summed,
} from './stats.js'

const log = createLog('llm-response-cache')
const addScript = defineScript({ name: 'llm-cache.stats-add', lua: addLua })

const flushEveryMs = 2_000

/**
 * Counts of all instances. Each instance adds every two seconds what it has counted since the last time, so that a
 * hit never waits for it. An addition that is sent twice counts once.
 */
export class SharedStats {
  readonly #redis: Connection | undefined
  readonly #stats: StatsBook
  readonly #key: string
  readonly #marker: string
  readonly #timer: NodeJS.Timeout | undefined
  /** What this instance has added in Redis. */
  readonly #told = new Map<string, number>()
  /** The addition that is being sent; if its outcome is unknown, it is sent again unchanged. */
  #pending: { readonly number: number; readonly fields: ReadonlyMap<string, number> } | undefined
  #number = 0
  #sending: Promise<void> | undefined

  constructor(redis: Connection | undefined, kind: string, stats: StatsBook) {
    this.#redis = redis
    this.#stats = stats
    const keys = createKeyspace(redis?.namespace ?? '', 'llm-cache-stats')
    this.#key = keys.key(kind)
    this.#marker = keys.key(kind, 'from', randomUUID())
    if (redis === undefined) return
    this.#timer = setInterval(() => void this.flush(), flushEveryMs)
    this.#timer.unref()
  }

  /** Counts of all instances, with this one's newest. Two round trips. */
  async read(): Promise<CacheStats> {
    await this.flush()
    const redis = this.#redis
    if (redis === undefined) return this.#stats.read()
    try {
      const reply = await redis.command(['HGETALL', this.#key], { key: this.#key })
      return summed(cellsOf(Array.isArray(reply) ? reply.map(String) : []))
    } catch (error) {
      // Without Redis there is only what this process knows.
      if (!isOutage(error)) throw error
      return this.#stats.read()
    }
  }

  /** Never rejects. */
  async flush(): Promise<void> {
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined
    })
    await this.#sending
  }

  /** Sends what was counted last. */
  close(): Promise<void> {
    clearInterval(this.#timer)
    return this.flush()
  }

  async #send(): Promise<void> {
    if (this.#redis?.state !== 'up') return
    this.#pending ??= this.#gather()
    const { pending, redis } = { pending: this.#pending, redis: this.#redis }
    if (pending === undefined) return
    const fields = [...pending.fields].flatMap(([field, amount]) => [field, String(amount)])
    try {
      await redis.run(addScript, [this.#key, this.#marker], [String(pending.number), ...fields])
      for (const [field, amount] of pending.fields)
        this.#told.set(field, (this.#told.get(field) ?? 0) + amount)
      this.#pending = undefined
    } catch (error) {
      log('counts were not added: %s', error)
    }
  }

  #gather(): { readonly number: number; readonly fields: ReadonlyMap<string, number> } | undefined {
    const fields = new Map<string, number>()
    for (const [tenant, models] of this.#stats.cells()) {
      for (const [model, counts] of models) {
        for (const name of countNames) {
          const field = JSON.stringify([tenant, model, name])
          const more = counts[name] - (this.#told.get(field) ?? 0)
          if (more > 0) fields.set(field, more)
        }
      }
    }
    return fields.size === 0 ? undefined : { number: ++this.#number, fields }
  }
}

function cellsOf(flat: readonly string[]): ReadonlyMap<string, ReadonlyMap<string, Counts>> {
  const cells = new Map<string, Map<string, MutableCounts>>()
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const [tenant, model, name] = JSON.parse(flat[at] ?? '[]') as [string, string, keyof Counts]
    if (!countNames.includes(name)) continue
    const models = cells.get(tenant) ?? new Map<string, MutableCounts>()
    cells.set(tenant, models)
    const counts = models.get(model) ?? noCounts()
    models.set(model, counts)
    counts[name] += Number(flat[at + 1])
  }
  return cells
}
