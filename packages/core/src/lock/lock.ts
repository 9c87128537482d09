import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Connection } from '../connection/connection.js'
import { defineScript } from '../connection/scripts.js'
import { EvenkeelError, UnavailableError } from '../errors.js'
import { createKeyspace } from '../kit/keys.js'
import acquireLua from '../scripts/lock-acquire.lua'
import extendLua from '../scripts/lock-extend.lua'
import releaseLua from '../scripts/lock-release.lua'
import { HeldLock, type Lease, type Lock } from './held-lock.js'
import { LocalLocks } from './local-locks.js'
import { type LockOptions, type ResolvedLockOptions, resolveLockOptions } from './options.js'

const acquireScript = defineScript({ name: 'lock.acquire', lua: acquireLua })
const extendScript = defineScript({ name: 'lock.extend', lua: extendLua })
const releaseScript = defineScript({ name: 'lock.release', lua: releaseLua })

/** A waiter looks again at least so often; a holder may release long before its ttl ends. */
const longestPauseMs = 250

const localLocks = new LocalLocks()

/**
 * Takes the lock on a resource: one round trip when it is free. Renewed by itself until it is released or
 * lost.
 *
 * What it can promise on a single primary: at most one holder while that primary keeps its data, and that a
 * holder's `signal` aborts before the server's expiry. What it can't, replication being asynchronous: a
 * failover may forget a lock that was just taken, and a paused process may go on after its time. Whoever
 * must be safe from both checks `fence` in the resource itself. It is not fair: waiters are not served in
 * order. Locks need a `maxmemory-policy` that does not evict them (`noeviction`, or `volatile-*` with care).
 *
 * @throws EvenkeelError `LOCK_TIMEOUT` when it was not free within `wait`; `LOCK_UNAVAILABLE` without Redis
 * (unless `onOutage: 'local'`)
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
  // Made before the first try: an attempt whose answer was lost finds its own lock, and takes it for that.
  const token = randomUUID()
  const startedAt = performance.now()
  for (;;) {
    resolved.signal?.throwIfAborted()
    const attempt = await tryOnce(resolved, token)
    if ('lock' in attempt) return attempt.lock
    const leftMs = resolved.waitMs - (performance.now() - startedAt)
    if (leftMs <= 0)
      throw new EvenkeelError('LOCK_TIMEOUT', `The lock was not free within ${resolved.waitMs} ms`)
    // Jitter keeps waiters from looking in step.
    const pauseMs = Math.min(
      leftMs,
      Math.max(5, Math.min(attempt.heldForMs, longestPauseMs) * (0.5 + Math.random() * 0.5)),
    )
    await pause(pauseMs, undefined, { signal: resolved.signal, ref: false })
  }
}

type Attempt = { readonly lock: Lock } | { readonly heldForMs: number }

async function tryOnce(options: ResolvedLockOptions, token: string): Promise<Attempt> {
  const { redis, onOutage, resource } = options
  if (redis === undefined) return onOutage === 'local' ? localLocks.take(options, token) : unavailable()
  try {
    return await takeOnRedis(redis, options, token)
  } catch (error) {
    if (!UnavailableError.isInstance(error)) throw error
    // It may have been taken: what the server holds for us must not block us once it is back.
    if (error.outcome === 'unknown') void release(redis, keysOf(redis, resource), token).catch(() => {})
    return onOutage === 'local' ? localLocks.take(options, token) : unavailable(error)
  }
}

async function takeOnRedis(redis: Connection, options: ResolvedLockOptions, token: string): Promise<Attempt> {
  const { resource, ttlMs } = options
  const keys = keysOf(redis, resource)
  const sentAt = performance.now()
  const reply = await redis.run(acquireScript, keys, [token, String(Math.ceil(ttlMs))])
  const [taken, value] = Array.isArray(reply) ? reply.map(Number) : []
  if (taken !== 1) return { heldForMs: Math.max(0, value ?? 0) }
  const [key = ''] = keys
  const lease: Lease = {
    source: 'redis',
    extend: async (extendMs) =>
      (await redis.run(extendScript, [key], [token, String(Math.ceil(extendMs))])) === 1,
    release: () => release(redis, keys, token),
  }
  return { lock: new HeldLock({ resource, token, fence: value ?? 0, ttlMs, sentAt, lease }) }
}

async function release(redis: Connection, [key = '']: readonly string[], token: string): Promise<boolean> {
  return (await redis.run(releaseScript, [key], [token])) === 1
}

function keysOf(redis: Connection, resource: string): readonly string[] {
  const { key } = createKeyspace(redis.namespace, 'lock')
  return [key(resource), key(resource, 'fence')]
}

function unavailable(cause?: unknown): never {
  throw new EvenkeelError('LOCK_UNAVAILABLE', 'Without Redis, a lock excludes nobody in other processes', {
    cause,
  })
}
