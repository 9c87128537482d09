import { EvenkeelError } from '@evenkeel/core'
import type { RateLimitDecision } from './decide/result.js'

/** `wait` or `run` could not be admitted within its time; nothing was charged. */
export class RateLimitedError extends EvenkeelError<'RATE_LIMITED'> {
  override readonly name = 'RateLimitedError'
  readonly decision: RateLimitDecision<string>

  constructor(decision: RateLimitDecision<string>, timeoutMs: number) {
    const by = decision.blocked ? 'its subject is blocked' : `limited by ${decision.limitedBy}`
    super('RATE_LIMITED', `not admitted within ${timeoutMs} ms: ${by}; next in ${decision.retryAfterMs} ms`)
    this.decision = decision
  }

  /** When the same cost can be admitted, in milliseconds. */
  get retryAfterMs(): number {
    return this.decision.retryAfterMs
  }
}

/** As many calls wait already as `maxQueue` lets; nothing was charged. */
export class QueueFullError extends EvenkeelError<'QUEUE_FULL'> {
  override readonly name = 'QueueFullError'

  constructor(maxQueue: number) {
    super('QUEUE_FULL', `${maxQueue} calls wait already: raise maxQueue, or shed load`)
  }
}

/** A slot was not renewed in time and may belong to another holder. The reason of a reservation's signal. */
export class SlotLostError extends EvenkeelError<'SLOT_LOST'> {
  override readonly name = 'SlotLostError'

  constructor(limit: string) {
    super('SLOT_LOST', `a slot of ${limit} was not renewed within its lease; stop the work that it protects`)
  }
}

/** The limiter was closed: what waited ends with it, and what is asked afterwards. */
export class LimiterClosedError extends EvenkeelError<'CLOSED'> {
  override readonly name = 'LimiterClosedError'

  constructor(limiter: string) {
    super('CLOSED', `the limiter '${limiter}' was closed`)
  }
}
