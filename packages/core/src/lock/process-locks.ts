interface Holder {
  readonly token: string
  readonly source: 'redis' | 'memory'
}

interface Registry {
  readonly holders: Map<string, Holder>
  lastFence: number
}

/** One registry for all copies of this package in the process: an ESM and a CommonJS copy must exclude each other. */
const symbol = Symbol.for('evenkeel.locks')

const registry = sharedRegistry()

function sharedRegistry(): Registry {
  const known = Reflect.get(globalThis, symbol) as Registry | undefined
  const shared = known ?? { holders: new Map(), lastFence: 0 }
  Reflect.set(globalThis, symbol, shared)
  return shared
}

/**
 * Which caller holds which lock in this process, including locks in Redis, so that a local lock and a lock in Redis
 * exclude each other when Redis goes or comes back between them. A holder stays until it releases the lock or learns
 * that it is lost. `name` is the lock's full key, with the namespace.
 */
export const processLocks = {
  holderOf(name: string): Holder | undefined {
    return registry.holders.get(name)
  },

  hold(name: string, holder: Holder): void {
    registry.holders.set(name, holder)
  },

  /** Returns whether the token held the lock. */
  leave(name: string, token: string): boolean {
    return registry.holders.get(name)?.token === token && registry.holders.delete(name)
  },

  /** Grows with the clock, and therefore across restarts too. */
  nextFence(): number {
    registry.lastFence = Math.max(registry.lastFence + 1, Date.now() * 1_000)
    return registry.lastFence
  },
}
