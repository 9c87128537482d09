import type { Connection, HealthReport } from '@evenkeel/core'
import { type CacheStats, createResponseCache, type ResponseCache } from '@evenkeel/llm-response-cache'
import { readLimiter, readLimiters } from '@evenkeel/rate-limiter/store'
import { type NodeRow, readNodes } from '../pool/command.js'
import { readPoolNames } from '../pool/names.js'

export interface LimiterSample {
  readonly name: string
  readonly instances: number
  readonly allowed: number
  readonly denied: number
  readonly fallback: number
  /** The subject with the most calls. */
  readonly busiest: string | undefined
}

export interface PoolSample {
  readonly name: string
  readonly nodes: Readonly<Record<NodeRow['state'], number>>
  readonly capacity: number
}

/** The state at one moment. Counts are totals; two samples give a rate. */
export interface Sample {
  readonly atMs: number
  readonly health: HealthReport
  /** When Redis last answered, in milliseconds since 1970. */
  readonly lastUpAtMs: number | undefined
  /** `undefined` while Redis is away; the two lists below are empty then. */
  readonly cache: Pick<CacheStats, CacheCount | 'hitRate'> | undefined
  readonly limiters: readonly LimiterSample[]
  readonly pools: readonly PoolSample[]
}

const cacheCounts = ['hits', 'misses', 'coalesced', 'stale', 'bypassed', 'errors', 'tokensSaved'] as const

export type CacheCount = (typeof cacheCounts)[number]

/** Finding names means walking all keys, so it happens only this often, not with every sample. */
const namesEveryMs = 30_000

/** Takes samples, one after the other. A sample never rejects; what Redis does not report is missing. */
export class Sampler {
  readonly #redis: Connection
  readonly #cache: ResponseCache
  #names: { readonly limiters: readonly string[]; readonly pools: readonly string[] } | undefined
  #namesAtMs = Number.NEGATIVE_INFINITY
  #lastUpAtMs: number | undefined

  constructor(redis: Connection) {
    this.#redis = redis
    this.#cache = createResponseCache({ redis, telemetry: false })
  }

  async look(): Promise<Sample> {
    const health = await this.#redis.health()
    const atMs = Date.now()
    const isUp = health.state === 'up'
    if (isUp) this.#lastUpAtMs = atMs
    const seen = { atMs, health, lastUpAtMs: this.#lastUpAtMs }
    if (!isUp) return { ...seen, cache: undefined, limiters: [], pools: [] }
    await this.#findNames().catch(() => {})
    const { limiters = [], pools = [] } = this.#names ?? {}
    const [cache, limiterSamples, poolSamples] = await Promise.all([
      this.#lookAtCache().catch(() => undefined),
      Promise.all(limiters.map((name) => this.#lookAtLimiter(name).catch(() => undefined))),
      Promise.all(pools.map((name) => this.#lookAtPool(name).catch(() => undefined))),
    ])
    return {
      ...seen,
      cache,
      limiters: limiterSamples.filter((one) => one !== undefined),
      pools: poolSamples.filter((one) => one !== undefined),
    }
  }

  async close(): Promise<void> {
    await this.#cache.close()
  }

  async #findNames(): Promise<void> {
    if (performance.now() - this.#namesAtMs < namesEveryMs) return
    const [limiters, pools] = await Promise.all([readLimiters(this.#redis), readPoolNames(this.#redis)])
    this.#names = { limiters: limiters.map(({ name }) => name), pools }
    this.#namesAtMs = performance.now()
  }

  async #lookAtCache(): Promise<Sample['cache']> {
    const { hits, misses, coalesced, stale, bypassed, errors, tokensSaved, hitRate } =
      await this.#cache.sharedStats()
    // In an outage, these would be the counts of this command, which has cached nothing.
    if (this.#cache.state !== 'primary') return undefined
    return { hits, misses, coalesced, stale, bypassed, errors, tokensSaved, hitRate }
  }

  async #lookAtLimiter(name: string): Promise<LimiterSample | undefined> {
    const view = await readLimiter(this.#redis, name)
    if (view === undefined) return undefined
    const { allowed, denied, fallback, top } = await view.overview(1)
    return { name, instances: view.instances, allowed, denied, fallback, busiest: top[0]?.subject }
  }

  async #lookAtPool(name: string): Promise<PoolSample> {
    const rows = await readNodes(this.#redis, name)
    const nodes = { serving: 0, draining: 0, unhealthy: 0, lapsed: 0 }
    for (const { state } of rows) nodes[state]++
    return { name, nodes, capacity: rows.reduce((sum, { capacity }) => sum + capacity, 0) }
  }
}
