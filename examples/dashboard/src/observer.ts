import type { Reply } from '@evenkeel/example-gateway/parts'
import type { AnswerEvent, LimitEvent } from '@evenkeel/example-gateway/server'
import type {
  DecoderView,
  Flow,
  Happening,
  LimitView,
  PackageName,
  Second,
  Snapshot,
  StoreState,
} from './snapshot.js'
import type { Stage } from './stage.js'
import { slotsOfDecoder, type User } from './users.js'

/** How often the observer looks for a change in the states of the stores. */
const compareEveryMs = 50
const keptSeconds = 60
const keptHappenings = 16
const latencyWindowSeconds = 5

const noFlow: Flow = { requests: 0, admitted: 0, hits: 0, turns: 0, dispatched: 0 }
const storeNames = {
  limiter: 'The rate limiter',
  cache: 'The response cache',
  memory: 'Agent memory',
  pool: 'The decoder pool',
} as const satisfies Record<PackageName, string>

/** Watches a gateway's events and the states of its packages, and makes the page's snapshots of them. */
export class Observer {
  readonly #stage: Stage
  readonly #startedAt = performance.now()
  readonly #timers: readonly NodeJS.Timeout[]
  readonly #unfollow: () => void
  readonly #callers = { answered: 0, refused: 0, failed: 0 }
  readonly #limits = new Map<string, LimitView>()
  readonly #timeline: Happening[] = []
  readonly #seconds: Second[] = []
  /** Latencies of answered requests in milliseconds: one list for each of the last seconds, the newest last. */
  readonly #latencies: number[][] = [[]]
  #counted: { -readonly [K in keyof Flow]: number } = { ...noFlow }
  #flow: Flow = noFlow
  #before = { answered: 0, refused: 0, failed: 0 }
  #stores: Readonly<Record<PackageName, StoreState>>
  #connection: string
  #decoders: ReadonlyMap<string, DecoderView['state']>

  constructor(stage: Stage) {
    this.#stage = stage
    this.#stores = storesOf(stage)
    this.#connection = connectionOf(stage)
    this.#decoders = statesOf(stage)
    this.#unfollow = this.#follow()
    this.#timers = [
      setInterval(() => this.#compare(), compareEveryMs),
      setInterval(() => this.#nextSecond(), 1_000),
    ]
  }

  /** Counts the outcome of one request. */
  replied(_user: User, { status, ms }: Reply): void {
    this.#callers[status]++
    if (status === 'answered') this.#latencies.at(-1)?.push(ms)
  }

  note(kind: Happening['kind'], text: string): void {
    this.#timeline.unshift({ atMs: Math.round(performance.now() - this.#startedAt), kind, text })
    this.#timeline.length = Math.min(this.#timeline.length, keptHappenings)
  }

  snapshot(): Snapshot {
    const { gateway, server } = this.#stage
    const recent = this.#latencies.flat().sort((one, other) => one - other)
    const { hitRate, tokensSaved } = gateway.cache.stats()
    return {
      atMs: Math.round(performance.now() - this.#startedAt),
      redis: { server, connection: connectionOf(this.#stage) },
      stores: storesOf(this.#stage),
      callers: { ...this.#callers },
      flow: this.#flow,
      cache: { hitRatio: hitRate, tokensSaved },
      latency: { p50: quantile(recent, 0.5), p99: quantile(recent, 0.99) },
      decoders: this.#decoderViews(),
      limits: [...this.#limits.values()],
      journaled: gateway.memory.status().journaled,
      seconds: this.#seconds,
      timeline: this.#timeline,
    }
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer)
    this.#unfollow()
  }

  #follow(): () => void {
    const { events } = this.#stage.gateway
    const names = new Map(this.#stage.users.map(({ key, name }) => [key, name]))
    const limit = (event: LimitEvent) => {
      if (event.allowed) this.#counted.admitted++
      const name = names.get(event.key)
      if (name !== undefined) this.#limited(name, event)
    }
    const answer = ({ outcome }: AnswerEvent) => {
      if (outcome === 'hit' || outcome === 'coalesced') this.#counted.hits++
    }
    const request = () => void this.#counted.requests++
    const turn = () => void this.#counted.turns++
    const dispatch = () => void this.#counted.dispatched++
    events.on('request', request).on('limit', limit).on('answer', answer)
    events.on('memory', turn).on('dispatch', dispatch)
    return () => {
      events.off('request', request).off('limit', limit).off('answer', answer)
      events.off('memory', turn).off('dispatch', dispatch)
    }
  }

  #limited(name: string, { allowed, remaining }: LimitEvent): void {
    const refused = (this.#limits.get(name)?.refused ?? 0) + (allowed ? 0 : 1)
    const limit = this.#stage.gateway.options.requestsPerMinute
    this.#limits.set(name, { name, remaining: allowed ? Math.min(remaining, limit) : 0, limit, refused })
  }

  #compare(): void {
    const connection = connectionOf(this.#stage)
    const stores = storesOf(this.#stage)
    const decoders = statesOf(this.#stage)
    if (connection !== this.#connection)
      this.note(connection === 'up' ? 'return' : 'fallback', `The connection to Redis is ${connection}`)
    for (const [name, title] of Object.entries(storeNames) as [PackageName, string][]) {
      if (stores[name] === this.#stores[name]) continue
      const text = {
        primary: `${title} is on Redis again`,
        fallback: `${title} answers from memory`,
        recovering: `${title} carries back to Redis what it wrote meanwhile`,
      }[stores[name]]
      this.note(stores[name] === 'fallback' ? 'fallback' : 'return', text)
    }
    for (const [id, state] of decoders) {
      const before = this.#decoders.get(id)
      if (before !== undefined && before !== state) this.note('decoder', `${id} is ${state}`)
    }
    this.#connection = connection
    this.#stores = stores
    this.#decoders = decoders
  }

  #nextSecond(): void {
    const { answered, refused, failed } = this.#callers
    const last = (this.#latencies.at(-1) ?? []).sort((one, other) => one - other)
    this.#seconds.push({
      answered: answered - this.#before.answered,
      refused: refused - this.#before.refused,
      failed: failed - this.#before.failed,
      p99: quantile(last, 0.99),
      isLevel: Object.values(this.#stores).every((state) => state === 'primary'),
    })
    if (this.#seconds.length > keptSeconds) this.#seconds.shift()
    this.#before = { answered, refused, failed }
    this.#flow = { ...this.#counted }
    this.#counted = { ...noFlow }
    this.#latencies.push([])
    if (this.#latencies.length > latencyWindowSeconds) this.#latencies.shift()
  }

  #decoderViews(): readonly DecoderView[] {
    const { nodes } = this.#stage.gateway.pool.status()
    return nodes.map(({ node, inFlight, requests }) => ({
      id: node.id,
      state: this.#decoders.get(node.id) ?? 'serving',
      isHung: this.#stage.isHung(node.id),
      inFlight,
      slots: slotsOfDecoder,
      requests,
    }))
  }
}

function storesOf({ gateway }: Stage): Readonly<Record<PackageName, StoreState>> {
  const { limiter, cache, memory, pool } = gateway
  return { limiter: limiter.state, cache: cache.state, memory: memory.status().state, pool: pool.state }
}

function connectionOf({ gateway }: Stage): string {
  return gateway.redis?.state ?? 'none'
}

function statesOf({ gateway }: Stage): ReadonlyMap<string, DecoderView['state']> {
  return new Map(
    gateway.pool
      .status()
      .nodes.map(({ node, healthy, ejected }) => [
        node.id,
        ejected ? 'ejected' : healthy ? 'serving' : 'unhealthy',
      ]),
  )
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
