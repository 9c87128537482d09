import { EvenkeelError } from '@evenkeel/core'

/** A message's id is known with another body. Nothing was stored. */
export class MessageConflictError extends EvenkeelError<'MESSAGE_CONFLICT'> {
  override readonly name = 'MessageConflictError'
  readonly id: string

  constructor(id: string) {
    super('MESSAGE_CONFLICT', `The message '${id.slice(0, 60)}' is stored already, with another body`)
    this.id = id
  }
}

/** A message is above `maxMessageBytes`. Nothing was stored. */
export class MessageTooLargeError extends EvenkeelError<'MESSAGE_TOO_LARGE'> {
  override readonly name = 'MessageTooLargeError'

  constructor(field: string, bytes: number, maxBytes: number) {
    super('MESSAGE_TOO_LARGE', `${field} has ${bytes} bytes as JSON; at most ${maxBytes} are taken`)
  }
}

/** Redis is away, and the journal holds all that it may. Nothing was taken. */
export class JournalFullError extends EvenkeelError<'JOURNAL_FULL'> {
  override readonly name = 'JournalFullError'

  constructor(messages: number) {
    super(
      'JOURNAL_FULL',
      `Redis is away, and the journal is full with ${messages} messages; try again when Redis is back`,
    )
  }
}

/** Redis is away, and this process has never seen the thread: what is in it is not known. */
export class ThreadUnknownError extends EvenkeelError<'THREAD_UNKNOWN'> {
  override readonly name = 'ThreadUnknownError'

  constructor() {
    super(
      'THREAD_UNKNOWN',
      'Redis is away, and this process has not seen the thread; try again when Redis is back',
    )
  }
}
