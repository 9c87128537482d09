import { setTimeout as pause } from 'node:timers/promises'

/**
 * Polls until `condition` gives something truthy, and gives that back. A condition that throws does not hold
 * yet. Rejects after `timeoutMs`, naming the condition and keeping the last error as `cause`.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  timeoutMs = 5_000,
  { what = condition.toString(), everyMs = 10 }: { what?: string; everyMs?: number } = {},
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const deadline = performance.now() + timeoutMs
  let cause: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value as Exclude<T, false | null | undefined | 0 | ''>
      cause = undefined
    } catch (error) {
      cause = error
    }
    if (performance.now() >= deadline) {
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
