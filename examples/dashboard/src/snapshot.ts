/** All that the page shows, as the server sends it several times a second. */
export interface Snapshot {
  /** Milliseconds since the dashboard began. */
  readonly atMs: number
  readonly redis: RedisView
  /** Which store answers for each package. */
  readonly stores: Readonly<Record<PackageName, StoreState>>
  /** What callers have seen since the dashboard began. */
  readonly callers: CallerCounts
  /** What passed each part in the last second. */
  readonly flow: Flow
  readonly cache: { readonly hitRatio: number; readonly tokensSaved: number }
  /** Of the requests that were answered in the last five seconds, in milliseconds. */
  readonly latency: { readonly p50: number; readonly p99: number }
  readonly decoders: readonly DecoderView[]
  readonly limits: readonly LimitView[]
  /** Messages that wait in memory's journal for Redis. */
  readonly journaled: number
  /** One entry a second, the oldest first. */
  readonly seconds: readonly Second[]
  /** The newest first. */
  readonly timeline: readonly Happening[]
}

export type PackageName = 'limiter' | 'cache' | 'memory' | 'pool'
/** `recovering`: what was written meanwhile is being carried back to Redis. */
export type StoreState = 'primary' | 'fallback' | 'recovering'

export interface RedisView {
  /** The server's process, as the buttons have left it. */
  readonly server: 'running' | 'frozen' | 'killed' | 'not ours'
  /** What the gateway's connection says. */
  readonly connection: string
}

export interface CallerCounts {
  readonly answered: number
  /** By a limit: 429. */
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
  /** Something answered from memory instead of Redis. */
  readonly isLevel: boolean
}

export interface Happening {
  readonly atMs: number
  readonly kind: 'action' | 'fallback' | 'return' | 'decoder'
  readonly text: string
}

/** What the buttons of the page do; the decoder's name is behind the colon. */
export const actionNames = ['freeze', 'kill', 'return', 'hang', 'wake'] as const
export type ActionName = (typeof actionNames)[number]
