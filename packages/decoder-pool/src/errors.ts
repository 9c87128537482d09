import { type Duration, EvenkeelError } from '@evenkeel/core'
import { durationMs, keepNames } from '@evenkeel/core/kit'

/** No node is available for the request. `reason` and the message say what the nodes lack, with counts. */
export class NoNodeError extends EvenkeelError<'NO_NODE'> {
  override readonly name = 'NoNodeError'
  readonly reason: 'no-match' | 'no-capacity' | 'too-many-waiting'

  constructor(reason: NoNodeError['reason'], message: string) {
    super('NO_NODE', message)
    this.reason = reason
  }
}

/** The pool was closed, before this call or while it waited. */
export class PoolClosedError extends EvenkeelError<'CLOSED'> {
  override readonly name = 'PoolClosedError'
  readonly reason = 'closed'

  constructor() {
    super('CLOSED', 'The pool was closed')
  }
}

/** Used if a refusal gives no time, or a shorter one: most refusing nodes are full, and soon have a free slot. */
export const defaultPushBackMs = 100

/** A node is busy and has begun nothing, which is not its fault. It gets no new requests for `retryAfter`. */
export class PushBackError extends EvenkeelError<'PUSH_BACK'> {
  override readonly name = 'PushBackError'
  readonly retryAfterMs: number

  /** @param options.retryAfter at least 100 ms, which is also the default; more than 5 minutes count as 5 minutes */
  constructor(message?: string, options: ErrorOptions & { readonly retryAfter?: Duration | undefined } = {}) {
    super('PUSH_BACK', message ?? 'the node takes nothing new for the moment', options)
    const { retryAfter = defaultPushBackMs } = options
    // Servers with a wrong clock may send a time in the past, which counts as the minimum.
    const isOver = typeof retryAfter === 'number' && !(retryAfter > defaultPushBackMs)
    this.retryAfterMs = isOver
      ? defaultPushBackMs
      : Math.max(defaultPushBackMs, durationMs('retryAfter', retryAfter))
  }
}

/** A node's endpoint is an address that coordinators must not call: link-local, or a metadata service. */
export class AddressRefusedError extends EvenkeelError<'ADDRESS_REFUSED'> {
  override readonly name = 'AddressRefusedError'

  constructor(host: string) {
    super('ADDRESS_REFUSED', `${host} is a link-local address or a metadata service, and is not called`)
  }
}

/**
 * The pool's file can't be read or written, or a part of an edit was refused. The pool works without it, and puts a
 * damaged file aside before it writes a new one.
 */
export class MirrorDamagedError extends EvenkeelError<'MIRROR_DAMAGED'> {
  override readonly name = 'MirrorDamagedError'

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super('MIRROR_DAMAGED', `${file}: ${reason}`, options)
  }
}

keepNames({ NoNodeError, PoolClosedError, PushBackError, AddressRefusedError, MirrorDamagedError })
