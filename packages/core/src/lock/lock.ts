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

/** The longest pause between two looks of a waiter: a holder may release long before its ttl ends. */
const maxPauseMs = 250

/**
 * Takes the lock on a resource: one round trip when it is free. Renewed by itself until it is released or
 * lost. Waiting for it keeps the process alive.
 *
 * What it can promise on a single primary: at most one holder while that primary keeps its data, and that a
 * holder's `signal` aborts before the server's expiry. What it can't, replication being asynchronous: a
 * failover may forget a lock that was just taken, and a paused process may go on after its time. A resource that
 * must be safe from both checks `fence` itself. It is not fair: waiters are not served in order. Locks need a
 * `maxmemory-policy` that does not evict them (`noeviction`, or `volatile-*` with care).
 *
 * @throws EvenkeelError `LOCK_TIMEOUT` when it was not free within `wait`; `LOCK_UNAVAILABLE` without Redis
 * (unless `onOutage: 'local'`)
 * @throws UnavailableError `OVERLOADED` or `CONNECTION_CLOSED`, which are no outage
 * @throws the signal's own reason, when it aborts
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
  // Made before the first try: an attempt whose answer was lost finds its own lock, and takes it for that.
  const token = randomUUID()
  const startedAt = performance.now()
  for (;;) {
    signal?.throwIfAborted()
    const attempt = await abortable(tryOnce(resolved, token), signal)
    if ('lock' in attempt) return attempt.lock
    const leftMs = waitMs - (performance.now() - startedAt)
    if (leftMs <= 0) throw new EvenkeelError('LOCK_TIMEOUT', `The lock was not free within ${waitMs} ms`)
    // Jitter keeps waiters from looking in step.
    const pauseMs = Math.max(5, Math.min(attempt.heldForMs, maxPauseMs) * (0.5 + Math.random() * 0.5))
    await sleep(Math.min(leftMs, pauseMs), { signal })
  }
}

/** A lock that comes after its caller has left is given back. */
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
    // It may have been taken: what the server holds for us must not block us once it is back.
    if (error.outcome === 'unknown') void giveBack(redis, options.resource, token).catch(() => {})
    return onOutage === 'local' ? takeLocally(options, token) : unavailable(error)
  }
}

function unavailable(cause?: unknown): never {
  throw new EvenkeelError('LOCK_UNAVAILABLE', 'Without Redis, a lock excludes nobody in other processes', {
    cause,
  })
}
