import { EvenkeelError } from '@evenkeel/core'
import { keepNames } from '@evenkeel/core/kit'

/**
 * Another instance called the provider for this answer and died after a part of it had been delivered here, and the
 * answer that was fetched instead does not begin with that part. Retry the call: the new answer is likely in the cache
 * by now.
 */
export class LeaderLostError extends EvenkeelError<'LEADER_LOST'> {
  override readonly name = 'LeaderLostError'
  readonly retryable = true
  /** Bytes that had been delivered. */
  readonly delivered: number

  constructor(delivered: number, options?: ErrorOptions) {
    const message = `The answer can't be completed: its source was lost after ${delivered} bytes, and the new answer is another one`
    super('LEADER_LOST', message, options)
    this.delivered = delivered
  }
}

/** The provider sent nothing for `stallTimeout`, and its call was cancelled. */
export class ProviderStalledError extends EvenkeelError<'PROVIDER_STALLED'> {
  override readonly name = 'ProviderStalledError'
  readonly retryable = true

  constructor(stallMs: number) {
    super('PROVIDER_STALLED', `The provider sent nothing for ${stallMs} ms, and was given up`)
  }
}

/** A value cannot be part of a key: a function, a symbol, NaN, a cycle, or an object of an unknown class. */
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

keepNames({ LeaderLostError, ProviderStalledError, UnkeyableError, CacheClosedError })
