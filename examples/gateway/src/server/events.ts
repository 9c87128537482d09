import { EventEmitter } from 'node:events'

/** What happens to a request on its way, for who watches: a dashboard, a log, a test. */
export interface GatewayEvents {
  /** It came in, with a key that is known. */
  request: [{ readonly id: string; readonly route: Route; readonly key: string }]
  /** The limiter has decided. */
  limit: [LimitEvent]
  /** The cache has answered, or has had it answered. */
  cache: [{ readonly id: string; readonly outcome: string; readonly semantic: string | undefined }]
  /** A decoder was given a request. What the cache shares is given once, so it belongs to no single request. */
  dispatch: [{ readonly node: string }]
  /** What became of it at the decoder. */
  dispatched: [{ readonly node: string; readonly outcome: 'ok' | 'failed' | 'left'; readonly ms: number }]
  /** A turn of a conversation was stored, and its history read. */
  memory: [MemoryEvent]
  /** Its answer has begun, or it was refused. */
  answer: [AnswerEvent]
}

export type Route = 'chat' | 'embeddings'

export interface LimitEvent {
  readonly id: string
  /** A digest of the API key. */
  readonly key: string
  readonly allowed: boolean
  readonly tokens: number
  readonly remaining: number
  readonly limitedBy: string | undefined
  readonly retryAfterMs: number
  /** Who decided: Redis for all gateways, or memory for this one. */
  readonly source: 'redis' | 'memory'
}

export interface MemoryEvent {
  readonly id: string
  readonly conversation: string
  readonly messages: number
  readonly history: History
}

/** `stale`: all that this process knows, read while Redis was away; `partial`: not all of it. */
export type History = 'whole' | 'stale' | 'partial'

export interface AnswerEvent {
  readonly id: string
  readonly route: Route
  readonly status: number
  /** `hit`, `miss`, `coalesced` …, `refused` by a limit, `shed`, or `status-…`. */
  readonly outcome: string
  /** Milliseconds from the request to the first byte of its answer. */
  readonly ms: number
}

export type GatewayEmitter = EventEmitter<GatewayEvents>

export function createEvents(): GatewayEmitter {
  return new EventEmitter<GatewayEvents>()
}
