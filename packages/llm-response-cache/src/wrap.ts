import type { Duration } from '@evenkeel/core'
import { isError, type Logger, notify, option } from '@evenkeel/core/kit'
import { type CallOptions, checkCallOptions, type Policy, policyOf } from './call-options.js'
import { canonicalHash } from './key/canonical.js'
import type { CacheContext } from './lookup/create-context.js'
import { type Codec, jsonCodec, textCodec, type ValueCodec } from './lookup/value-codec.js'
import { type Detailed, Values } from './lookup/values.js'
import type { EntryKey } from './stores/port.js'

export interface WrapOptions<Args extends readonly unknown[], T = unknown> {
  /**
   * Name of the function in keys. A minifier shortens a function's own name, and gives the same to another one in the
   * next build; so a name of up to three characters counts together with the function's source.
   * @default its own name, which no other wrapped function may have
   */
  readonly name?: string | undefined
  /** Returns what the answer depends on. @default all arguments */
  readonly key?: ((...args: Args) => unknown) | undefined
  /** @default the cache's */
  readonly ttl?: Duration | undefined
  /**
   * Returns the options of a call from its arguments. With `onlyIfCached`, a miss gives `undefined`, of which the type of
   * the wrapped function says nothing, since the arguments decide. @default none
   */
  readonly options?: ((...args: Args) => CallOptions) | undefined
  /** Converts answers to text and back. @default JSON, for plain values alone */
  readonly codec?: Codec<T> | undefined
}

const names: Readonly<Record<keyof WrapOptions<[]>, true>> = {
  name: true,
  key: true,
  ttl: true,
  options: true,
  codec: true,
}

export interface Wrapped<Args extends readonly unknown[], T> {
  /** @throws UnkeyableError for arguments that have no key (streams, blobs, objects of a class): give `key` */
  (...args: Args): Promise<T>
  detailed(...args: Args): Promise<Detailed<T>>
  /** Returns the stored answer, without calling the function and without counting. One round trip, or none. */
  peek(...args: Args): Promise<T | undefined>
  /** Stores an answer that you obtained in another way. Returns whether it was stored. Two round trips. */
  keep(value: T, ...args: Args): Promise<boolean>
}

/** Puts the cache in front of a function whose answers JSON, or a codec, can restore unchanged. */
export function wrapFunction<Args extends readonly unknown[], T>(
  context: CacheContext,
  call: (...args: Args) => Promise<T>,
  options: WrapOptions<Args, T>,
): Wrapped<Args, T> {
  option.fn('call', call)
  option.members('', options, names)
  const { name, key: functionKey } = context.functionNames.identify(call, options.name)
  const { ttl } = options
  const base = policyOf(context.options.policy, { ttl })
  const values = new Values<T>(context, codecOf(name, options.codec, context.options.redis?.logger))
  const keyOf = options.key ?? ((...args: Args) => args)

  const policyFor = (args: Args): Policy => {
    const { current } = context.scope
    const given = options.options?.(...args)
    const own = given && checkCallOptions(given)
    return current === undefined && own === undefined ? base : policyOf(base, { ...current, ...own })
  }
  const entryKeyOf = (args: Args, { tenant }: Policy): EntryKey => {
    const key = canonicalHash('wrap', functionKey, keyOf(...args))
    return { tenant, name: `wrap:${name}:${context.shown(tenant, key)}` }
  }
  const { spans } = context
  const attributes = { 'evenkeel.response_cache.name': name }
  const traced = <R>(look: () => Promise<R>): Promise<R> =>
    spans === undefined ? look() : spans.around('response_cache wrap', { attributes }, look)
  const wrapped = async (...args: Args): Promise<T> => {
    const policy = policyFor(args)
    return traced(() => values.get(entryKeyOf(args, policy), policy, () => call(...args)))
  }
  return Object.assign(wrapped, {
    detailed: async (...args: Args) => {
      const policy = policyFor(args)
      return traced(() => values.detailed(entryKeyOf(args, policy), policy, () => call(...args)))
    },
    peek: async (...args: Args) => {
      const policy = policyFor(args)
      return values.peek(entryKeyOf(args, policy), policy, false)
    },
    keep: async (value: T, ...args: Args) => {
      const policy = policyFor(args)
      return values.set(entryKeyOf(args, policy), policy, value)
    },
  })
}

function codecOf<T>(name: string, codec: Codec<T> | undefined, logger: Logger | undefined): ValueCodec<T> {
  let isTold = false
  return {
    ...(codec === undefined ? (jsonCodec as ValueCodec<T>) : textCodec(codec)),
    onRefused: (error) => {
      if (isTold) return
      isTold = true
      const why = isError(error) ? error.message : String(error)
      const message = `wrap: answers of '${name}' are passed on and not kept: ${why}. Give it a codec.`
      notify(logger, 'warn', message, 'EVENKEEL_NOT_KEPT')
    },
  }
}
