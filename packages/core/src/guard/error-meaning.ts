import { isError } from '../kit/cross-realm.js'

/**
 * What an error of a client means for the caller:
 * - `unavailable`: Redis can't answer now; failover answers from memory, and the breaker counts it
 * - `demoted`: unavailable, because the connection leads to a replica; the primary has to be found again
 * - `credentials`: the password or user is refused, which a retry does not change
 * - `caller`: an answer that the caller must see (WRONGTYPE, a script's error, a bug)
 */
export type Meaning = 'unavailable' | 'demoted' | 'credentials' | 'caller'

export interface UnavailabilityRow {
  /** First word of a server's error. */
  readonly prefix: string
  readonly meaning: Meaning
  readonly why: string
  /** Narrows the row to messages that contain this text. */
  readonly containing?: string
}

/** Errors with which a server says that it is running but can't serve. All others are passed on to the caller. */
export const unavailabilityTable: readonly UnavailabilityRow[] = [
  { prefix: 'LOADING', meaning: 'unavailable', why: 'the server is reading its data set' },
  { prefix: 'MASTERDOWN', meaning: 'unavailable', why: 'a replica has lost its primary' },
  { prefix: 'CLUSTERDOWN', meaning: 'unavailable', why: 'the slot has no primary' },
  { prefix: 'TRYAGAIN', meaning: 'unavailable', why: 'the slot is being moved, beyond the retries' },
  { prefix: 'MOVED', meaning: 'unavailable', why: 'the slot moved, beyond the redirections' },
  { prefix: 'ASK', meaning: 'unavailable', why: 'the slot is being moved, beyond the redirections' },
  { prefix: 'READONLY', meaning: 'demoted', why: 'this primary has become a replica' },
  { prefix: 'UNBLOCKED', meaning: 'demoted', why: 'this primary has become a replica' },
  { prefix: 'BUSY', meaning: 'unavailable', why: 'a script runs for too long' },
  { prefix: 'OOM', meaning: 'unavailable', why: 'maxmemory is reached and nothing may be evicted' },
  { prefix: 'MISCONF', meaning: 'unavailable', why: 'the disk refuses snapshots, so writes are stopped' },
  { prefix: 'NOREPLICAS', meaning: 'unavailable', why: 'too few replicas for min-replicas-to-write' },
  {
    prefix: 'ERR',
    containing: 'max number of clients',
    meaning: 'unavailable',
    why: 'the server has too many clients',
  },
  {
    prefix: 'ERR',
    containing: 'Script killed by user',
    meaning: 'unavailable',
    why: 'an operator killed the script (SCRIPT KILL), which thus changed nothing',
  },
  { prefix: 'NOAUTH', meaning: 'credentials', why: 'a password is needed' },
  { prefix: 'WRONGPASS', meaning: 'credentials', why: 'the user or password is wrong' },
  {
    prefix: 'ERR',
    containing: 'AUTH <password> called without any password',
    meaning: 'credentials',
    why: 'a password is given to a server that has none',
  },
]

/** The first word of a server's error reply (`WRONGTYPE`); `undefined` if the error is none. */
export function replyPrefix(error: Error): string | undefined {
  return /^-?([A-Z][A-Z0-9_]+)(?: |$)/.exec(error.message)?.[1]
}

/**
 * Reads an error that a client library rejected with. No library gives server errors a code, so the
 * message's first word decides; whatever is not a server's reply is a failure of the connection
 * (closed or refused socket, DNS, TLS), except a bug in the call itself.
 */
export function meaningOf(error: unknown): Meaning {
  if (!isError(error)) return 'caller'
  const prefix = replyPrefix(error)
  if (prefix === undefined) return isReplyOfTheServer(error) || isMistake(error) ? 'caller' : 'unavailable'
  // A script's own errors are wrapped by some servers: the cause follows the prefix.
  const row = unavailabilityTable.find(
    (candidate) =>
      candidate.prefix === prefix &&
      (candidate.containing === undefined || error.message.includes(candidate.containing)),
  )
  return row?.meaning ?? 'caller'
}

/** Whether a client library refused a command before sending it, so that repeating it is safe. */
export function wasNotSent(error: unknown): boolean {
  if (!isError(error)) return false
  return error.name === 'NotSentError' || /^The client is (closed|offline)$/.test(error.message)
}

/** A script may fail with a text of its own that has no prefix. */
function isReplyOfTheServer(error: Error): boolean {
  return error.name === 'ReplyError' || /^(ErrorReply|SimpleError|BlobError)$/.test(error.constructor.name)
}

function isMistake(error: Error): boolean {
  return /^(Type|Range)Error$/.test(error.name) && !('code' in error && isSocketCode(error.code))
}

function isSocketCode(code: unknown): boolean {
  return typeof code === 'string' && /^E[A-Z]+$/.test(code)
}
