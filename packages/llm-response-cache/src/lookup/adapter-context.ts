import { InvalidOptionError } from '@evenkeel/core'
import type { CacheContext } from './create-context.js'

const shared = Symbol.for('evenkeel.response-cache.contexts')

/**
 * Gives adapters the context of a cache. It is global, so that two copies of the package (ESM beside CommonJS, an
 * adapter beside its cache) share it.
 */
export const contexts: WeakMap<object, CacheContext> = sharedMap()

function sharedMap(): WeakMap<object, CacheContext> {
  const known: unknown = Reflect.get(globalThis, shared)
  if (known instanceof WeakMap) return known as WeakMap<object, CacheContext>
  const made = new WeakMap<object, CacheContext>()
  Reflect.set(globalThis, shared, made)
  return made
}

/** @throws INVALID_OPTION for what `createResponseCache` has not made */
export function contextOf(cache: object): CacheContext {
  const context = typeof cache === 'object' && cache !== null ? contexts.get(cache) : undefined
  if (context === undefined) throw new InvalidOptionError('cache', 'what createResponseCache() gave', cache)
  return context
}
