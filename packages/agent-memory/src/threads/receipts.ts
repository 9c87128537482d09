import { InvalidInputError, type Source } from '@evenkeel/core'
import type { AppendOutcome, ChangeResult, StoredOutcome } from '../backends/port.js'
import {
  FencedError,
  LimitReachedError,
  MessageConflictError,
  OperationConflictError,
  ThreadDeletedError,
  ThreadMissingError,
  VersionConflictError,
} from '../errors.js'
import { messageOf } from '../messages/decode.js'
import type { MessageRecord } from '../messages/record.js'
import type { Entry, Receipt, StoredReceipt } from './entry.js'
import { keptAlive } from './keep-alive.js'

// Turns outcomes of stores into what applications get: a receipt, an entry, or an error.

export function errorOf(done: ChangeResult, what: string): Error {
  switch (done.status) {
    case 'conflict':
      return new VersionConflictError(what, done.current)
    case 'full':
      return new LimitReachedError(done.limit)
    case 'reused':
      return new OperationConflictError()
    case 'deleted':
    case 'missing':
      return new ThreadMissingError()
    default:
      return new TypeError(`A change came to '${done.status}'`)
  }
}

export function entryOf(record: MessageRecord): Entry {
  const { seq, at, revision, tokens } = record
  return { seq, at, revision, tokens, message: messageOf(record) }
}

export function wholeInput(field: string, value: unknown, least: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value
  throw new InvalidInputError(field, `a whole number from ${least}`, value)
}

export function receiptOf(ids: readonly string[], appended: AppendOutcome, source: Source): Receipt {
  switch (appended.status) {
    case 'conflict':
      throw new MessageConflictError(appended.id)
    case 'changed':
      throw new VersionConflictError('The thread', appended.version)
    case 'fenced':
      throw new FencedError()
    case 'full':
      throw new LimitReachedError(appended.limit)
    case 'reused':
      throw new OperationConflictError()
    case 'journaled': {
      const stored = appended.stored.then((settled) => storedReceipt(ids, settled))
      // The application may ignore it.
      stored.catch(() => {})
      const { version, generation } = appended
      return { status: 'journaled', ids, seqs: [], version, generation, source, stored: keptAlive(stored) }
    }
    case 'deleted':
      throw new ThreadDeletedError()
    default: {
      const { status, seqs, version, generation } = appended
      const stored = Promise.resolve({ status, ids, seqs, version })
      return { status, ids, seqs, version, generation, source, stored }
    }
  }
}

function storedReceipt(ids: readonly string[], settled: StoredOutcome): StoredReceipt {
  if (settled.status === 'deleted') return { status: 'deleted', ids, seqs: [], version: 0 }
  const { status, seqs, version } = settled
  return { status, ids, seqs, version }
}
