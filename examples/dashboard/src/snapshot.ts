/** All that the page shows, as the server sends it several times a second. */
export interface Snapshot {
  /** Milliseconds since the dashboard started. */
  readonly atMs: number
  readonly redis: RedisView
  /** Which store answers for each package. */
  readonly stores: Readonly<Record<PackageName, StoreState>>
  /** The outcomes of the callers' requests since the dashboard started. */
  readonly callers: CallerCounts
  /** The number of requests that passed each part in the last second. */
  readonly flow: Flow
  readonly cache: { readonly hitRatio: number; readonly tokensSaved: number }
  /** Percentiles of the requests that were answered in the last five seconds, in milliseconds. */
  readonly latency: { readonly p50: number; readonly p99: number }
  readonly decoders: readonly DecoderView[]
  readonly limits: readonly LimitView[]
  /** Messages in agent memory's journal that wait for Redis. */
  readonly journaled: number
  /** One entry a second, the oldest first. */
  readonly seconds: readonly Second[]
  /** The newest first. */
  readonly timeline: readonly Happening[]
}

export type PackageName = 'limiter' | 'cache' | 'memory' | 'pool'
/** `recovering`: what was written during the outage is being handed over to Redis. */
export type StoreState = 'primary' | 'fallback' | 'recovering'

export interface RedisView {
  /** The state of the server's process after the last action. */
  readonly server: 'running' | 'frozen' | 'killed' | 'not ours'
  /** The state that the gateway's connection reports. */
  readonly connection: string
}

export interface CallerCounts {
  readonly answered: number
  /** Refused by a limit, with 429. */
  readonly refused: number
  readonly failed: number
}

export interface Flow {
  readonly requests: number
  readonly admitted: number
  readonly hits: number
  readonly turns: number
  readonly dispatched: number
}

export interface DecoderView {
  readonly id: string
  readonly state: 'serving' | 'unhealthy' | 'ejected'
  readonly isHung: boolean
  readonly inFlight: number
  readonly slots: number
  readonly requests: number
}

export interface LimitView {
  readonly name: string
  readonly remaining: number
  readonly limit: number
  readonly refused: number
}

export interface Second {
  readonly answered: number
  readonly refused: number
  readonly failed: number
  readonly p99: number
  /** Whether every package used Redis. */
  readonly isLevel: boolean
}

export interface Happening {
  readonly atMs: number
  readonly kind: 'action' | 'fallback' | 'return' | 'decoder'
  readonly text: string
}

/** The actions of the page's buttons. For `hang` and `wake`, the decoder's name follows in the path. */
export const actionNames = ['freeze', 'kill', 'return', 'hang', 'wake'] as const
export type ActionName = (typeof actionNames)[number]
