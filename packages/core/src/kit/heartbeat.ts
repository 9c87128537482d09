import { type LongTimer, setLongTimeout } from './timers.js'

export interface HeartbeatOptions {
  /** Milliseconds between the end of one beat and the next; a function is asked each time. */
  readonly everyMs: number | (() => number)
  /** Part by which a pause is shortened or lengthened at random, so that instances do not beat in step. @default 0.1 */
  readonly jitter?: number | undefined
  beat(): Promise<unknown> | unknown
  /** A beat failed; the next one comes all the same. */
  onError(error: unknown): void
  /** From 0 to 1. @default Math.random */
  readonly random?: (() => number) | undefined
}

export interface Heartbeat {
  /** Begins, or goes on; without effect while it runs and after `close`. */
  start(): void
  /** Pauses it; `start` goes on. */
  stop(): void
  /** Beats now, after a beat that is under way, and once more later as ever. */
  now(): Promise<void>
  /** Stops it for good. */
  close(): void
}

/**
 * Renews something at an interval, one beat at a time: a beat that hangs delays the next and is never beside
 * another. It does not keep the process alive.
 */
export function heartbeat(options: HeartbeatOptions): Heartbeat {
  const { everyMs, jitter = 0.1, random = Math.random, beat, onError } = options
  let timer: LongTimer | undefined
  let beating: Promise<void> | undefined
  let isRunning = false
  let isClosed = false

  const schedule = () => {
    timer?.clear()
    if (!isRunning || isClosed) return
    const pauseMs = typeof everyMs === 'function' ? everyMs() : everyMs
    timer = setLongTimeout(() => void run(), pauseMs * (1 + jitter * (random() * 2 - 1)))
  }
  const run = (): Promise<void> => {
    beating ??= Promise.resolve()
      .then(beat)
      .then(
        () => {},
        (error: unknown) => onError(error),
      )
      .finally(() => {
        beating = undefined
        schedule()
      })
    return beating
  }
  return {
    start() {
      if (isRunning || isClosed) return
      isRunning = true
      schedule()
    },
    stop() {
      isRunning = false
      timer?.clear()
    },
    async now() {
      if (beating !== undefined) await beating
      if (!isClosed) await run()
    },
    close() {
      isClosed = true
      timer?.clear()
    },
  }
}
