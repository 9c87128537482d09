import { EvenkeelError } from '@evenkeel/core'

/** No node could be given. `reason` says what they lack, with counts. */
export class NoNodeError extends EvenkeelError<'NO_NODE'> {
  override readonly name = 'NoNodeError'
  readonly reason: 'no-match' | 'no-capacity' | 'too-many-waiting' | 'closed'

  constructor(reason: NoNodeError['reason'], message: string) {
    super('NO_NODE', message)
    this.reason = reason
  }
}

/** The mirror file can't be read; the pool goes on without it, and it is kept as it is until there is a good pool. */
export class MirrorDamagedError extends EvenkeelError<'MIRROR_DAMAGED'> {
  override readonly name = 'MirrorDamagedError'

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super('MIRROR_DAMAGED', `${file}: ${reason}`, options)
  }
}
