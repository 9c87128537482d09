import type { Duration } from '@evenkeel/core'
import type { Costs } from '../costs.js'

/** A call that is about to be sent. */
export interface OutgoingCall {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  /** The body, if it is text. */
  readonly body: string | undefined
  readonly hasBody: boolean
}

export interface LimitedFetchOptions<Name extends string> {
  /** Whose limits apply: the provider, or one of several API keys for it. @default the URL's host */
  readonly subject?: string | ((call: OutgoingCall) => string) | undefined
  /**
   * Costs to reserve for a call. @default by the limits' units: one of `requests`, the estimate of `tokens`,
   * `input-tokens` and `output-tokens` (at most what the limit can ever admit; none without a body), one slot of a
   * concurrency
   */
  readonly costs?: ((call: OutgoingCall) => Costs<Name>) | undefined
  /** Output tokens to reserve if the call does not set a maximum. @default 1_024 */
  readonly defaultOutputTokens?: number | undefined
  /** Longest wait for admission. A call that would wait longer rejects at once. @default '30s' */
  readonly timeout?: Duration | undefined
  /**
   * How often a call is repeated after the provider refused it with 429, 503 or 529 and a `retry-after`; each time
   * after that wait. Only calls whose body is text or empty are repeated. @default 2
   */
  readonly retries?: number | undefined
  /** The fetch that sends the calls. @default the global one */
  readonly fetch?: typeof globalThis.fetch | undefined
}
