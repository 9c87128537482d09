import { EvenkeelError } from '@evenkeel/core'
import { isError, keepNames } from '@evenkeel/core/kit'
import type { Limit } from './stores/limits.js'

/** A message with this id but other content is known. Nothing was stored. */
export class MessageConflictError extends EvenkeelError<'MESSAGE_CONFLICT'> {
  override readonly name = 'MessageConflictError'
  readonly id: string

  constructor(id: string) {
    super('MESSAGE_CONFLICT', `The message '${id.slice(0, 60)}' is stored already, with another body`)
    this.id = id
  }
}

/** A message exceeds `maxMessageBytes`. Nothing was stored. */
export class MessageTooLargeError extends EvenkeelError<'MESSAGE_TOO_LARGE'> {
  override readonly name = 'MessageTooLargeError'
  /** Id of the message, if it has one. */
  readonly id: string | undefined

  constructor(field: string, bytes: number, maxBytes: number, id?: string) {
    super('MESSAGE_TOO_LARGE', `${field} has ${bytes} bytes as JSON; at most ${maxBytes} are taken`)
    this.id = id
  }
}

/** The message is not in the thread: it never was, or it was removed. */
export class MessageMissingError extends EvenkeelError<'MESSAGE_MISSING'> {
  override readonly name = 'MessageMissingError'

  constructor(id: string) {
    super('MESSAGE_MISSING', `The thread has no message '${id.slice(0, 60)}'`)
  }
}

/** A message, thread, value or session does not have the expected version. Nothing was changed. */
export class VersionConflictError extends EvenkeelError<'VERSION_CONFLICT'> {
  override readonly name = 'VersionConflictError'
  /** The actual version, if known. */
  readonly version: number | undefined

  constructor(what: string, version?: number) {
    super('VERSION_CONFLICT', `${what} was changed since it was read; read it again, and decide again`)
    this.version = version
  }
}

/** A later holder of the lease has written, so this holder may no longer write. Nothing was stored. */
export class FencedError extends EvenkeelError<'FENCED'> {
  override readonly name = 'FencedError'

  constructor() {
    super('FENCED', 'The lease was lost to another holder since; nothing was stored')
  }
}

/** The name of this operation was used before, for another one. Nothing was changed. */
export class OperationConflictError extends EvenkeelError<'OPERATION_CONFLICT'> {
  override readonly name = 'OperationConflictError'

  constructor() {
    super('OPERATION_CONFLICT', 'The operation id was used before, for another operation')
  }
}

/** A thread or an owner has reached one of its `limits`. Nothing was stored. */
export class LimitReachedError extends EvenkeelError<'LIMIT_REACHED'> {
  override readonly name = 'LimitReachedError'
  readonly limit: Limit

  constructor(limit: Limit) {
    super('LIMIT_REACHED', `${holders[limit]}; nothing was stored`)
    this.limit = limit
  }
}

const holders: Record<Limit, string> = {
  messages: 'The thread holds as many messages as it may',
  bytes: 'The thread holds as many bytes as it may',
  threads: 'The owner has as many threads as it may',
  pinned: 'The thread has as many pinned messages as it may',
  state: 'The state of the thread has as many keys as it may',
}

/** A thread of this name exists already. */
export class ThreadExistsError extends EvenkeelError<'THREAD_EXISTS'> {
  override readonly name = 'ThreadExistsError'

  constructor() {
    super('THREAD_EXISTS', 'There is a thread of this name already; choose another name, or delete it first')
  }
}

/** The thread does not exist. */
export class ThreadMissingError extends EvenkeelError<'THREAD_MISSING'> {
  override readonly name = 'ThreadMissingError'

  constructor() {
    super('THREAD_MISSING', 'There is no such thread: it was never written, was deleted, or its time is over')
  }
}

/** The thread was deleted, or its owner erased, since the write began. Nothing was stored. */
export class ThreadDeletedError extends EvenkeelError<'THREAD_DELETED'> {
  override readonly name = 'ThreadDeletedError'

  constructor() {
    super('THREAD_DELETED', 'The thread was deleted since the write began; nothing was stored')
  }
}

/** Redis is away, and this process knows only a part of the thread. */
export class ThreadIncompleteError extends EvenkeelError<'THREAD_INCOMPLETE'> {
  override readonly name = 'ThreadIncompleteError'

  constructor() {
    super(
      'THREAD_INCOMPLETE',
      'Redis is away, and this process knows only a part of the thread; try again when Redis is back',
    )
  }
}

/** Redis is away, and the journal is full. The write was refused. */
export class JournalFullError extends EvenkeelError<'JOURNAL_FULL'> {
  override readonly name = 'JournalFullError'

  constructor(messages: number) {
    super(
      'JOURNAL_FULL',
      `Redis is away, and the journal is full with ${messages} messages; try again when Redis is back`,
    )
  }
}

/** The journal's file could not be written. The write may be repeated. */
export class JournalFailedError extends EvenkeelError<'JOURNAL_FAILED'> {
  override readonly name = 'JournalFailedError'

  constructor(file: string, cause: unknown) {
    const reason = isError(cause) ? cause.message : String(cause)
    super('JOURNAL_FAILED', `The journal ${file} can not be written: ${reason}`, { cause })
  }
}

/** Redis is away, and this process has never seen the thread, so it does not know its content. */
export class ThreadUnknownError extends EvenkeelError<'THREAD_UNKNOWN'> {
  override readonly name = 'ThreadUnknownError'

  constructor() {
    super(
      'THREAD_UNKNOWN',
      'Redis is away, and this process has not seen the thread; try again when Redis is back',
    )
  }
}

/** A session would exceed `maxFields` or `maxBytes`. Nothing was written. */
export class SessionTooLargeError extends EvenkeelError<'SESSION_TOO_LARGE'> {
  override readonly name = 'SessionTooLargeError'

  constructor() {
    super(
      'SESSION_TOO_LARGE',
      'The session would be larger than `maxFields` and `maxBytes` allow; nothing was written',
    )
  }
}

/** A backup is truncated or altered, or is not one of this package. */
export class BackupDamagedError extends EvenkeelError<'BACKUP_DAMAGED'> {
  override readonly name = 'BackupDamagedError'

  constructor(what: string) {
    super('BACKUP_DAMAGED', `The backup can not be used: ${what}`)
  }
}

keepNames({
  MessageConflictError,
  MessageTooLargeError,
  MessageMissingError,
  VersionConflictError,
  FencedError,
  OperationConflictError,
  LimitReachedError,
  ThreadExistsError,
  ThreadMissingError,
  ThreadDeletedError,
  ThreadIncompleteError,
  JournalFullError,
  JournalFailedError,
  ThreadUnknownError,
  SessionTooLargeError,
  BackupDamagedError,
})
