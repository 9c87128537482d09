import { isError } from '../../kit/cross-realm.js'
import { NotSentError } from '../port.js'

/** First words of servers' errors, by the names that the library gives those errors. */
const serversWords: Readonly<Record<string, string>> = {
  ResponseError: 'ERR',
  PermissionDenied: 'NOPERM',
  ReadOnly: 'READONLY',
  BusyLoadingError: 'LOADING',
  ClusterDown: 'CLUSTERDOWN',
  CrossSlot: 'CROSSSLOT',
  MasterDown: 'MASTERDOWN',
  TryAgain: 'TRYAGAIN',
  NotBusy: 'NOTBUSY',
  ExecAbortError: 'EXECABORT',
  NoScriptError: 'NOSCRIPT',
  Moved: 'MOVED',
  Ask: 'ASK',
}

/** Restores the first word of a server's error, which the library renames or follows with a colon. */
export function asServersError(error: unknown): Error {
  if (!isError(error)) return new Error('an unknown error')
  if (/maximum inflight requests/i.test(error.message)) return new NotSentError(error.message)
  const renamed = /signalled by the server: ?-? ?(\w+): ?([\s\S]*)/.exec(error.message)
  if (renamed !== null) return replyError(serversWords[renamed[1] ?? ''] ?? 'ERR', renamed[2] ?? '', error)
  if (/AuthenticationFailed/.test(error.message))
    return replyError('WRONGPASS', 'the user or password', error)
  if (/- ReadOnly$/.test(error.message)) return replyError('READONLY', error.message, error)
  const setOff = /^([A-Z][A-Z0-9_]+): ([\s\S]*)/.exec(error.message)
  return setOff === null ? error : replyError(setOff[1] ?? 'ERR', setOff[2] ?? '', error)
}

export function replyError(prefix: string, message: string, cause?: Error): Error {
  return Object.assign(new Error(`${prefix} ${message}`.trim(), { cause }), { name: 'ReplyError' })
}

export function isOfConnection(error: unknown): boolean {
  return isError(error) && /^(ConnectionError|ClosingError)$/.test(error.constructor.name)
}
