import { type LongTimer, setLongTimeout } from './timers.js'

export interface HeartbeatOptions {
  /** Milliseconds between the end of one beat and the next; a function is called for each pause. */
  readonly everyMs: number | (() => number)
  /** Part by which each pause is varied at random, so that instances do not beat in step. @default 0.1 */
  readonly jitter?: number | undefined
  beat(): Promise<unknown> | unknown
  /** A beat failed; the next one follows as usual. */
  onError(error: unknown): void
  /** From 0 to 1. @default Math.random */
  readonly random?: (() => number) | undefined
}

export interface Heartbeat {
  /** Starts or resumes. Has no effect while it runs, or after `close`. */
  start(): void
  /** Pauses; `start` resumes. */
  stop(): void
  /** Beats now, after a running beat has ended; then the usual interval follows. */
  now(): Promise<void>
  /** Stops it for good. */
  close(): void
}

/**
 * Runs a beat at an interval, one at a time: a beat that hangs delays the next one and never overlaps it. It does not
 * keep the process alive.
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
