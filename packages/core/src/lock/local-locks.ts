import { HeldLock, type Lease, type Lock } from './held-lock.js'
import type { ResolvedLockOptions } from './options.js'

interface Holder {
  readonly token: string
  expiresAt: number
}

/** Locks among the callers of this process. Fences grow with the clock, and so also over restarts. */
export class LocalLocks {
  readonly #holders = new Map<string, Holder>()
  #fence = 0

  take({ resource, ttlMs }: ResolvedLockOptions, token: string): { lock: Lock } | { heldForMs: number } {
    const now = performance.now()
    const held = this.#holders.get(resource)
    if (held !== undefined && held.expiresAt > now) return { heldForMs: held.expiresAt - now }
    const holder: Holder = { token, expiresAt: now + ttlMs }
    this.#holders.set(resource, holder)
    this.#fence = Math.max(this.#fence + 1, Date.now() * 1_000)
    const lease: Lease = {
      source: 'memory',
      extend: async (extendMs) => {
        if (this.#holders.get(resource) !== holder) return false
        holder.expiresAt = performance.now() + extendMs
        return true
      },
      release: async () => this.#holders.get(resource) === holder && this.#holders.delete(resource),
    }
    return { lock: new HeldLock({ resource, token, fence: this.#fence, ttlMs, sentAt: now, lease }) }
  }
}
