import type { Duration } from '@evenkeel/core'
import type { Costs } from '../costs.js'

/** A call that is about to be made. */
export interface OutgoingCall {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  /** The body, where it is text. */
  readonly body: string | undefined
  readonly hasBody: boolean
}

export interface LimitedFetchOptions<Name extends string> {
  /** Whose limits are meant: the provider's, or one of several keys of it. @default the URL's host */
  readonly subject?: string | ((call: OutgoingCall) => string) | undefined
  /**
   * What a call is reserved. @default by the limits' units: one of `requests`, the estimate of `tokens`,
   * `input-tokens` and `output-tokens` (at most what the limit can ever admit; none without a body), one slot of a
   * concurrency
   */
  readonly costs?: ((call: OutgoingCall) => Costs<Name>) | undefined
  /** Tokens that a model may write where the call does not say it. @default 1_024 */
  readonly defaultOutputTokens?: number | undefined
  /** How long a call waits to be admitted; what would take longer fails at once. @default '30s' */
  readonly timeout?: Duration | undefined
  /**
   * How often a call that the provider refused with 429, 503 or 529 and a `retry-after` is made again, after
   * waiting for it. Only calls whose body is text or nothing. @default 2
   */
  readonly retries?: number | undefined
  /** The next fetch. @default the global one */
  readonly fetch?: typeof globalThis.fetch | undefined
}
