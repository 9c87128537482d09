import { type Attempt, HeldLock, type Lease } from './held-lock.js'
import type { ResolvedLockOptions } from './options.js'
import { processLocks } from './process-locks.js'

/** One try without Redis: excludes all callers in this process, including holders of a lock in Redis. */
export function takeLocally({ name, ttlMs }: ResolvedLockOptions, token: string): Attempt {
  if (processLocks.holderOf(name) !== undefined) return { heldForMs: ttlMs }
  processLocks.hold(name, { token, source: 'memory' })
  const lease: Lease = {
    source: 'memory',
    extend: async () => processLocks.holderOf(name)?.token === token,
    release: async () => processLocks.holderOf(name)?.token === token,
    end: () => void processLocks.leave(name, token),
  }
  const sentAt = performance.now()
  return { lock: new HeldLock({ token, fence: processLocks.nextFence(), ttlMs, sentAt, lease }) }
}
