/** What evenkeel asks of a logger; console and pino have it. A line says what changed; calls are not logged. */
export interface Logger {
  info(message: string): void
  warn(message: string): void
}

/** Writes a line to the host's logger, or as a warning of the process with a code where the host gave none. */
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
    // A logger that fails must not fail what it reports on.
    process.emitWarning(error instanceof Error ? error : 'the logger threw', { code: 'EVENKEEL_LISTENER' })
  }
}

/** A listener that fails for every message would otherwise write a line a message. */
const repeatAfterMs = 60_000
const warnedAt = new WeakMap<object, number>()

/**
 * Warns that a listener of the host threw, at most once a minute for each listener. Shows where, and not the error's
 * message: a parser's error quotes what it was given.
 */
export function warnOfListener(listener: object, error: unknown, event: string): void {
  const now = performance.now()
  if (now - (warnedAt.get(listener) ?? Number.NEGATIVE_INFINITY) < repeatAfterMs) return
  warnedAt.set(listener, now)
  const name = error instanceof Error ? error.name : typeof error
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  const frames = stack.split('\n').filter((line) => line.startsWith('    at '))
  process.emitWarning(`A listener of '${event}' threw (${name})`, {
    code: 'EVENKEEL_LISTENER',
    detail: frames.join('\n'),
  })
}
