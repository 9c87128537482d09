import { onAbort } from './signals.js'

/** Node fires a timer of more than 2^31 - 1 ms (24.8 days) after 1 ms. */
export const maxTimerMs = 2 ** 31 - 1

export interface LongTimer {
  /** May be called again, and after the timer has fired. */
  clear(): void
}

export interface LongTimerOptions {
  /** Whether the pending timer keeps the process alive, as a caller that waits for it needs. @default false */
  readonly ref?: boolean | undefined
}

/**
 * Calls back once, after any number of milliseconds. A duration beyond the maximum of Node's timers takes several
 * timers. `Infinity` never fires.
 */
export function setLongTimeout(
  callback: () => void,
  delayMs: number,
  { ref = false }: LongTimerOptions = {},
): LongTimer {
  const dueAt = performance.now() + delayMs
  let timer: NodeJS.Timeout | undefined
  const arm = (leftMs: number): void => {
    timer = setTimeout(
      () => {
        const stillMs = dueAt - performance.now()
        if (stillMs > 0 && leftMs > maxTimerMs) arm(stillMs)
        else callback()
      },
      Math.min(Math.max(leftMs, 0), maxTimerMs),
    )
    if (!ref) timer.unref()
  }
  arm(delayMs)
  return { clear: () => clearTimeout(timer) }
}

export interface SleepOptions extends LongTimerOptions {
  readonly signal?: AbortSignal | undefined
}

/**
 * Resolves after any number of milliseconds. By default it keeps the process alive, since a caller awaits it.
 * @throws the signal's reason, if it aborts first
 */
export function sleep(delayMs: number, { signal, ref = true }: SleepOptions = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const timer = setLongTimeout(
      () => {
        stopFollowing()
        resolve()
      },
      delayMs,
      { ref },
    )
    const stopFollowing = onAbort(signal, (reason) => {
      timer.clear()
      reject(reason)
    })
  })
}
