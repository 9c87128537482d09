import { setTimeout as pause } from 'node:timers/promises'
import { fairTime } from './fair-time.js'

/**
 * Polls until `condition` gives something truthy, and gives that back. A condition that throws does not hold
 * yet. Rejects after `timeoutMs` of fair time (what other processes take is left out), naming the condition and
 * keeping the last error as `cause`.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  timeoutMs = 5_000,
  { what = condition.toString(), everyMs = 10 }: { what?: string; everyMs?: number } = {},
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  using time = fairTime()
  let cause: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value as Exclude<T, false | null | undefined | 0 | ''>
      cause = undefined
    } catch (error) {
      cause = error
    }
    if (time.elapsedMs() >= timeoutMs) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`, cause === undefined ? {} : { cause })
    }
    await pause(everyMs)
  }
}

/** Lets real time go by, for what only a server's own clock can show, such as a TTL. */
export async function passTime(ms: number): Promise<void> {
  const at = performance.now() + ms
  while (performance.now() < at) await pause(Math.max(1, at - performance.now()))
}
