import { EventEmitter } from 'node:events'

/** The events of a request, for a dashboard, a log or a test. */
export interface GatewayEvents {
  /** A request with a known key has arrived. */
  request: [{ readonly id: string; readonly route: Route; readonly key: string }]
  /** The limiter has decided. */
  limit: [LimitEvent]
  /** The cache has answered, itself or through a decoder. */
  cache: [{ readonly id: string; readonly outcome: string; readonly semantic: string | undefined }]
  /** A decoder was given a call. Requests that the cache joins share one call, so it has no request's id. */
  dispatch: [{ readonly node: string }]
  /** The call of a decoder has ended. `left`: the callers left before it ended. */
  dispatched: [{ readonly node: string; readonly outcome: 'ok' | 'failed' | 'left'; readonly ms: number }]
  /** A turn of a conversation was stored, and its history read. */
  memory: [MemoryEvent]
  /** The answer to a request has begun, or the request was refused. */
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
  /** What decided: Redis for all gateways, or memory for this one. */
  readonly source: 'redis' | 'memory'
}

export interface MemoryEvent {
  readonly id: string
  readonly conversation: string
  readonly messages: number
  readonly history: History
}

/** `stale`: all that this process knows, read while Redis was down. `partial`: known to be incomplete. */
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
