import { isError } from './cross-realm.js'

/** What evenkeel needs from a logger; `console` and pino have it. Lines report changes of state, never single calls. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
}

/** Writes a line to the host's logger; without one, emits a process warning with a code. */
export function notify(
  logger: Logger | undefined,
  level: 'info' | 'warn',
  message: string,
  code: `EVENKEEL_${string}`,
): void {
  if (logger === undefined) return process.emitWarning(message, { code })
  try {
    logger[level](message)
  } catch (error) {
    // A logger that fails must not fail the code that reports to it.
    process.emitWarning(isError(error) ? error : 'the logger threw', { code: 'EVENKEEL_LISTENER' })
  }
}

/** Without a limit, a listener that fails for every message would write a line for every message. */
const repeatAfterMs = 60_000
const warnedAt = new WeakMap<object, number>()

/**
 * Warns that a listener of the host threw, at most once a minute for each listener. Shows where, but not the error's
 * message, because the error of a parser quotes its input.
 */
export function warnOfListener(listener: object, error: unknown, event: string): void {
  const now = performance.now()
  if (now - (warnedAt.get(listener) ?? Number.NEGATIVE_INFINITY) < repeatAfterMs) return
  warnedAt.set(listener, now)
  const name = isError(error) ? error.name : typeof error
  const stack = isError(error) ? (error.stack ?? '') : ''
  const frames = stack.split('\n').filter((line) => line.startsWith('    at '))
  process.emitWarning(`A listener of '${event}' threw (${name})`, {
    code: 'EVENKEEL_LISTENER',
    detail: frames.join('\n'),
  })
}
