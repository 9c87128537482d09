import { type Duration, EvenkeelError } from '@evenkeel/core'
import { durationMs } from '@evenkeel/core/kit'

/** No node could be given. `reason` says what they lack, with counts. */
export class NoNodeError extends EvenkeelError<'NO_NODE'> {
  override readonly name = 'NoNodeError'
  readonly reason: 'no-match' | 'no-capacity' | 'too-many-waiting'

  constructor(reason: NoNodeError['reason'], message: string) {
    super('NO_NODE', message)
    this.reason = reason
  }
}

/** The pool was closed: by the caller, who asks it for something later, or while this call waited. */
export class PoolClosedError extends EvenkeelError<'CLOSED'> {
  override readonly name = 'PoolClosedError'
  readonly reason = 'closed'

  constructor() {
    super('CLOSED', 'The pool was closed')
  }
}

/** Where a refusal does not say for how long: most are full, and free a place soon. Nor is a shorter time believed. */
export const defaultPushBackMs = 100

/** A node's refusal for the moment: no fault of its own, and nothing was begun. It gets nothing new for `retryAfter`. */
export class PushBackError extends EvenkeelError<'PUSH_BACK'> {
  override readonly name = 'PushBackError'
  readonly retryAfterMs: number

  /** @param options.retryAfter @default '100ms', which is the least too; at most 5 minutes */
  constructor(message?: string, options: ErrorOptions & { readonly retryAfter?: Duration | undefined } = {}) {
    super('PUSH_BACK', message ?? 'the node takes nothing new for the moment', options)
    const { retryAfter = defaultPushBackMs } = options
    // As servers tell it: a time that is over, by a clock that is askew, is a moment.
    const isOver = typeof retryAfter === 'number' && !(retryAfter > defaultPushBackMs)
    this.retryAfterMs = isOver
      ? defaultPushBackMs
      : Math.max(defaultPushBackMs, durationMs('retryAfter', retryAfter))
  }
}

/** The endpoint of a node is one that a coordinator must not call: link-local, or a metadata service. */
export class AddressRefusedError extends EvenkeelError<'ADDRESS_REFUSED'> {
  override readonly name = 'AddressRefusedError'

  constructor(host: string) {
    super('ADDRESS_REFUSED', `${host} is a link-local address or a metadata service, and is not called`)
  }
}

/** The mirror file can't be read; the pool goes on without it, and it is kept as it is until there is a good pool. */
export class MirrorDamagedError extends EvenkeelError<'MIRROR_DAMAGED'> {
  override readonly name = 'MirrorDamagedError'

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super('MIRROR_DAMAGED', `${file}: ${reason}`, options)
  }
}
