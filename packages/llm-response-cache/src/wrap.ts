import { type Duration, durationMs, InvalidOptionError, type Source } from '@evenkeel/core'
import type { Entry } from './entry.js'
import { canonicalHash } from './key/canonical.js'
import type { ResolvedOptions } from './options.js'
import type { StatsCounter } from './stats.js'
import { tokensOf } from './usage.js'
import type { Vault } from './vault.js'

export interface WrapOptions<Args extends readonly unknown[]> {
  /** Names the function in keys. @default its own name */
  readonly name?: string | undefined
  /** What the answer depends on. @default all arguments */
  readonly key?: ((...args: Args) => unknown) | undefined
  /** @default the cache's */
  readonly ttl?: Duration | undefined
}

export interface Detailed<T> {
  readonly value: T
  /** Whether the function was not called for this answer. */
  readonly cached: boolean
  readonly outcome: 'hit' | 'miss' | 'coalesced'
  /** Which store was asked. */
  readonly source: Source
  /** Age of the answer in milliseconds; 0 for a new one. */
  readonly ageMs: number
  /** Tokens that the provider had counted for a reused answer; 0 where it told none. */
  readonly savedTokens: number
}

export interface Wrapped<Args extends readonly unknown[], T> {
  (...args: Args): Promise<T>
  detailed(...args: Args): Promise<Detailed<T>>
}

interface Produced<T> {
  readonly value: T
  readonly text: string | undefined
  readonly entry: Entry | undefined
  readonly source: Source
}

/** The cache in front of any function whose answer JSON can carry. */
export function wrapFunction<Args extends readonly unknown[], T>(
  parts: { readonly vault: Vault; readonly stats: StatsCounter; readonly options: ResolvedOptions },
  call: (...args: Args) => Promise<T>,
  wrapOptions: WrapOptions<Args>,
): Wrapped<Args, T> {
  const { vault, stats, options } = parts
  const { clock } = options
  const name = wrapOptions.name ?? call.name
  if (name === '') throw new InvalidOptionError('name', 'a name, since the function has none', name)
  const ttlMs =
    wrapOptions.ttl === undefined ? options.ttlMs : durationMs('ttl', wrapOptions.ttl, { minMs: 1 })
  const keyOf = wrapOptions.key ?? ((...args: Args) => args)
  const flights = new Map<string, Promise<Produced<T>>>()

  const produce = async (key: string, args: Args): Promise<Produced<T>> => {
    const { entry, epoch, source } = await vault.find(key, 'value')
    if (entry !== undefined) {
      const text = entry.body.toString()
      return { value: JSON.parse(text), text, entry, source }
    }
    const value = await call(...args).catch((error: unknown) => {
      stats.add('errors')
      throw error
    })
    const text = JSON.stringify(value) as string | undefined
    if (text !== undefined) {
      const now = clock.now()
      const kept = await vault.keep(key, {
        kind: 'value',
        createdAtMs: now,
        expiresAtMs: now + ttlMs,
        epoch,
        model: modelOf(value),
        tokens: tokensOf(value),
        status: 200,
        contentType: 'application/json',
        body: Buffer.from(text),
      })
      if (kept) stats.add('stored')
    }
    return { value, text, entry: undefined, source }
  }

  const detailed = async (...args: Args): Promise<Detailed<T>> => {
    const key = canonicalHash('wrap', name, keyOf(...args))
    const under = flights.get(key)
    const flight = under ?? produce(key, args).finally(() => flights.delete(key))
    if (under === undefined) flights.set(key, flight)
    const { value, text, entry, source } = await flight
    const outcome = entry !== undefined ? 'hit' : under === undefined ? 'miss' : 'coalesced'
    stats.add(outcome === 'hit' ? 'hits' : outcome === 'miss' ? 'misses' : 'coalesced')
    const savedTokens = outcome === 'miss' ? 0 : (entry?.tokens ?? tokensOf(value))
    stats.add('tokensSaved', savedTokens)
    return {
      // Whoever shares an answer gets a copy of its own.
      value: under !== undefined && text !== undefined ? JSON.parse(text) : value,
      cached: outcome !== 'miss',
      outcome,
      source,
      ageMs: entry === undefined ? 0 : Math.max(0, clock.now() - entry.createdAtMs),
      savedTokens,
    }
  }

  const wrapped = async (...args: Args): Promise<T> => (await detailed(...args)).value
  return Object.assign(wrapped, { detailed })
}

function modelOf(value: unknown): string {
  const model = typeof value === 'object' && value !== null && 'model' in value ? value.model : undefined
  return typeof model === 'string' ? model : 'unknown'
}
