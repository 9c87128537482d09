import { type Duration, InvalidOptionError } from '@evenkeel/core'
import { type CallOptions, type Policy, policyOf } from './call-options.js'
import { canonicalHash } from './key/canonical.js'
import type { CacheContext } from './lookup/create-context.js'
import { type Detailed, jsonValues, type ValueKind, Values } from './lookup/values.js'
import type { EntryKey } from './stores/port.js'

export interface WrapOptions<Args extends readonly unknown[]> {
  /** Names the function in keys. @default its own name */
  readonly name?: string | undefined
  /** What the answer depends on. @default all arguments */
  readonly key?: ((...args: Args) => unknown) | undefined
  /** @default the cache's */
  readonly ttl?: Duration | undefined
  /** Options of a call, by its arguments. @default none */
  readonly options?: ((...args: Args) => CallOptions) | undefined
}

export interface Wrapped<Args extends readonly unknown[], T> {
  (...args: Args): Promise<T>
  detailed(...args: Args): Promise<Detailed<T>>
  /** What is kept for these arguments, uncounted, without a call of the function. One round trip, or none. */
  peek(...args: Args): Promise<T | undefined>
  /** Keeps an answer that came another way. Says whether it was kept. Two round trips. */
  keep(value: T, ...args: Args): Promise<boolean>
}

/** The cache in front of any function whose answer JSON can carry. */
export function wrapFunction<Args extends readonly unknown[], T>(
  engine: CacheContext,
  call: (...args: Args) => Promise<T>,
  options: WrapOptions<Args>,
): Wrapped<Args, T> {
  const name = options.name ?? call.name
  if (name === '') throw new InvalidOptionError('name', 'a name, since the function has none', name)
  const { ttl } = options
  const base = policyOf(engine.options.policy, { ttl })
  const values = new Values<T>(engine, jsonValues as ValueKind<T>)
  const keyOf = options.key ?? ((...args: Args) => args)

  const policyFor = (args: Args): Policy => {
    const { current } = engine.scope
    const own = options.options?.(...args)
    return current === undefined && own === undefined ? base : policyOf(base, { ...current, ...own })
  }
  const placeOf = (args: Args, { namespace }: Policy): EntryKey => {
    const key = canonicalHash('wrap', name, keyOf(...args))
    return { namespace, name: `wrap:${name}:${engine.shown(namespace, key)}` }
  }
  const wrapped = async (...args: Args): Promise<T> => {
    const policy = policyFor(args)
    return values.get(placeOf(args, policy), policy, () => call(...args))
  }
  return Object.assign(wrapped, {
    detailed: async (...args: Args) => {
      const policy = policyFor(args)
      return values.detailed(placeOf(args, policy), policy, () => call(...args))
    },
    peek: async (...args: Args) => {
      const policy = policyFor(args)
      return values.peek(placeOf(args, policy), policy, false)
    },
    keep: async (value: T, ...args: Args) => {
      const policy = policyFor(args)
      return values.set(placeOf(args, policy), policy, value)
    },
  })
}
