import { randomUUID } from 'node:crypto'
import type { Connection } from '../connection/connection.js'
import { EvenkeelError } from '../errors.js'
import { isOutage } from '../failover/is-outage.js'
import { sleep } from '../kit/timers.js'
import { untilAborted } from '../kit/until-aborted.js'
import type { Attempt, Lock } from './held-lock.js'
import { takeLocally } from './local-lock.js'
import { type LockOptions, type ResolvedLockOptions, resolveLockOptions } from './options.js'
import { giveBack, takeOnRedis } from './redis-lock.js'

/** The longest pause between two tries of a waiter: a holder may release long before its ttl ends. */
const maxPauseMs = 250

/**
 * Takes the lock on a resource. One round trip if it is free. The lock is renewed automatically until it is released
 * or lost. A pending call keeps the process alive.
 *
 * On a single primary the lock has at most one holder as long as that primary keeps its data, and the `signal` of a
 * holder aborts before the lock expires on the server. Replication is asynchronous, so a failover may lose a lock
 * that was just taken, and a paused process may continue after its time. A resource that must be safe from both has
 * to check `fence`. Waiters are not served in order. Redis must not evict locks: its `maxmemory-policy` should be
 * `noeviction`, or `volatile-*` with care.
 *
 * @throws EvenkeelError `LOCK_TIMEOUT` if the lock was not free within `wait`; `LOCK_UNAVAILABLE` without Redis
 * (unless `onOutage: 'local'`)
 * @throws UnavailableError `OVERLOADED` or `CONNECTION_CLOSED`, which do not count as an outage
 * @throws the reason of `signal`, if it aborts
 * @example
 * await using held = await lock(redis, 'report:7', { wait: '5s' })
 * await writeReport({ fence: held.fence, signal: held.signal })
 */
export async function lock(
  redis: Connection | undefined,
  resource: string,
  options: LockOptions = {},
): Promise<Lock> {
  const resolved = resolveLockOptions(redis, resource, options)
  const { signal, waitMs } = resolved
  // Created before the first try: if the reply of a try is lost, the next try recognises its own lock.
  const token = randomUUID()
  const startedAt = performance.now()
  for (;;) {
    signal?.throwIfAborted()
    const attempt = await abortable(tryOnce(resolved, token), signal)
    if ('lock' in attempt) return attempt.lock
    const leftMs = waitMs - (performance.now() - startedAt)
    if (leftMs <= 0) throw new EvenkeelError('LOCK_TIMEOUT', `The lock was not free within ${waitMs} ms`)
    // Jitter keeps waiters from trying at the same time.
    const pauseMs = Math.max(5, Math.min(attempt.heldForMs, maxPauseMs) * (0.5 + Math.random() * 0.5))
    await sleep(Math.min(leftMs, pauseMs), { signal })
  }
}

/** Releases a lock that arrives after its caller has stopped waiting. */
function abortable(attempt: Promise<Attempt>, signal: AbortSignal | undefined): Promise<Attempt> {
  if (signal === undefined) return attempt
  const abandon = () => {
    attempt.then(
      (late) => 'lock' in late && late.lock.release(),
      () => {},
    )
  }
  return untilAborted(attempt, signal, abandon)
}

async function tryOnce(options: ResolvedLockOptions, token: string): Promise<Attempt> {
  const { redis, onOutage } = options
  if (redis === undefined) return onOutage === 'local' ? takeLocally(options, token) : unavailable()
  try {
    return await takeOnRedis(redis, options, token)
  } catch (error) {
    if (!isOutage(error)) throw error
    // The lock may have been taken: it must not block this process once the server is back.
    if (error.outcome === 'unknown') void giveBack(redis, options.resource, token).catch(() => {})
    return onOutage === 'local' ? takeLocally(options, token) : unavailable(error)
  }
}

function unavailable(cause?: unknown): never {
  throw new EvenkeelError('LOCK_UNAVAILABLE', 'Without Redis, a lock excludes nobody in other processes', {
    cause,
  })
}
