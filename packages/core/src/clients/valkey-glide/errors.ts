import { NotSentError } from '../port.js'

/** What the library calls the errors whose first words it knows. */
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

/** Gives a server's error its own first word back, which the library renames or sets off with a colon. */
export function asServersError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error('an unknown error')
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
  return error instanceof Error && /^(ConnectionError|ClosingError)$/.test(error.constructor.name)
}
