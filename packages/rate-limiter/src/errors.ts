import { EvenkeelError } from '@evenkeel/core'
import { keepNames } from '@evenkeel/core/kit'
import type { RateLimitDecision } from './decide/result.js'

/** A call could not be admitted within its `timeout`. Nothing was charged. */
export class RateLimitedError extends EvenkeelError<'RATE_LIMITED'> {
  override readonly name = 'RateLimitedError'
  readonly decision: RateLimitDecision<string>

  constructor(decision: RateLimitDecision<string>, timeoutMs: number) {
    const by = decision.blocked ? 'its subject is blocked' : `limited by ${decision.limitedBy}`
    super('RATE_LIMITED', `not admitted within ${timeoutMs} ms: ${by}; next in ${decision.retryAfterMs} ms`)
    this.decision = decision
  }

  /** Milliseconds until the same cost can be admitted. */
  get retryAfterMs(): number {
    return this.decision.retryAfterMs
  }
}

/** As many calls already wait as `maxQueue` allows. Nothing was charged. */
export class QueueFullError extends EvenkeelError<'QUEUE_FULL'> {
  override readonly name = 'QueueFullError'

  constructor(maxQueue: number) {
    super('QUEUE_FULL', `${maxQueue} calls wait already: raise maxQueue, or shed load`)
  }
}

/** A slot was not renewed in time, so another holder may have it. The reason of a reservation's signal. */
export class SlotLostError extends EvenkeelError<'SLOT_LOST'> {
  override readonly name = 'SlotLostError'

  constructor(limit: string) {
    super('SLOT_LOST', `a slot of ${limit} was not renewed within its lease; stop the work that it protects`)
  }
}

/** The limiter was closed. Ends waiting calls, and rejects later ones. */
export class LimiterClosedError extends EvenkeelError<'CLOSED'> {
  override readonly name = 'LimiterClosedError'

  constructor(limiter: string) {
    super('CLOSED', `the limiter '${limiter}' was closed`)
  }
}

keepNames({ RateLimitedError, QueueFullError, SlotLostError, LimiterClosedError })
