import { EvenkeelError } from '@evenkeel/core'

/**
 * The instance that called the provider for this answer died after a part of it had been passed on here, and
 * the answer that was fetched instead does not begin with that part. Ask again: the new answer is likely
 * in the cache by now.
 */
export class LeaderLostError extends EvenkeelError<'LEADER_LOST'> {
  override readonly name = 'LeaderLostError'
  readonly retryable = true
  /** Bytes that had been passed on. */
  readonly delivered: number

  constructor(delivered: number, options?: ErrorOptions) {
    const message = `The answer can't be completed: its source was lost after ${delivered} bytes, and the new answer is another one`
    super('LEADER_LOST', message, options)
    this.delivered = delivered
  }
}

/** The provider sent nothing for as long as `stallTimeout`; its call was ended. */
export class ProviderStalledError extends EvenkeelError<'PROVIDER_STALLED'> {
  override readonly name = 'ProviderStalledError'
  readonly retryable = true

  constructor(stallMs: number) {
    super('PROVIDER_STALLED', `The provider sent nothing for ${stallMs} ms, and was given up`)
  }
}

/** A value that has no defined place in a key: a function, a symbol, NaN, a cycle, an object of an unknown class. */
export class UnkeyableError extends EvenkeelError<'UNKEYABLE'> {
  override readonly name = 'UnkeyableError'

  constructor(message: string) {
    super('UNKEYABLE', message)
  }
}

/** The cache was closed while this call was under way. */
export class CacheClosedError extends EvenkeelError<'CLOSED'> {
  override readonly name = 'CacheClosedError'

  constructor() {
    super('CLOSED', 'The cache was closed')
  }
}
