import type { Source } from '@evenkeel/core'
import { createLog } from '@evenkeel/core/kit'
import type { Policy } from '../call-options.js'
import type { Entry, EntryKind } from '../entry/entry.js'
import type { CachedEntry } from '../stores/memory-entries.js'
import type { EntryKey } from '../stores/port.js'
import type { Outcome } from '../usage/stats.js'
import { noUsage, type Usage } from '../usage/tokens.js'
import type { Call, Found, ProduceContext, Produced } from './call.js'
import { ageOf, isPast, type LookupContext, timesOf } from './context.js'
import { Lookup } from './lookup.js'
import { isProviderOutage } from './outage.js'
import type { ValueCodec } from './value-codec.js'

const log = createLog('llm-response-cache')

export interface Detailed<T> {
  readonly value: T
  /** `true` if the function was not called for this answer. */
  readonly cached: boolean
  readonly outcome: Outcome
  /** Which store answered; also `memory` if this process's own copy was enough. */
  readonly source: Source
  /** Age of the answer in milliseconds; 0 for a new one. */
  readonly ageMs: number
  /** Tokens that the provider counted for a reused answer; 0 if it reported none. */
  readonly savedTokens: number
}

/** A value that the function returned, and its entry. */
interface LiveValue<T> {
  readonly value: T
  /** `undefined` if the value can't be stored; then it is not shared. */
  readonly entry: Entry | undefined
  readonly model: string
}

/** Look-ups of values that JSON or a codec can represent. */
export class Values<T> {
  readonly #context: LookupContext
  readonly #codec: ValueCodec<T>
  readonly #lookup: Lookup<LiveValue<T>>
  readonly #kind: EntryKind = 'value'

  constructor(context: LookupContext, codec: ValueCodec<T>) {
    this.#context = context
    this.#codec = codec
    this.#lookup = new Lookup(context)
  }

  /** Returns only the value, on the shortest path. `isShared`: all callers get one deeply frozen value. */
  get(entryKey: EntryKey, policy: Policy, produce: () => Promise<T>, isShared = false): Promise<T> {
    if (!policy.useCache) return this.#bypass(entryKey, produce).then(({ value }) => value)
    const call = this.#callOf(entryKey, policy, produce)
    const here = this.#lookup.here(call)
    if (here !== undefined) {
      this.#countEntry(here.entry, entryKey)
      return Promise.resolve(isShared ? this.#frozen(here) : this.#codec.decode(here.entry.body))
    }
    const detailed = this.#lookup.beyond(call).then((found) => this.#detail(found, entryKey))
    return isShared ? detailed.then(({ value }) => deepFreeze(value)) : detailed.then(({ value }) => value)
  }

  async detailed(entryKey: EntryKey, policy: Policy, produce: () => Promise<T>): Promise<Detailed<T>> {
    if (!policy.useCache) return this.#bypass(entryKey, produce)
    return this.#detail(await this.#lookup.find(this.#callOf(entryKey, policy, produce)), entryKey)
  }

  /** Returns the fresh value, if there is one, without calling the function. One round trip at most. */
  async peek(entryKey: EntryKey, policy: Policy, isCounted = true): Promise<T | undefined> {
    const only = { ...policy, onlyIfCached: true, refresh: false }
    const found = await this.#lookup.find(this.#callOf(entryKey, only, neverCalled))
    if (found.kind === 'entry') {
      if (isCounted) this.#countEntry(found.entry, entryKey)
      return this.#codec.decode(found.entry.body)
    }
    if (found.kind === 'live') return this.#detail(found, entryKey).value
    if (isCounted) this.#count('miss', entryKey, 'unknown', undefined)
    return undefined
  }

  /** Stores a value. Returns whether it was stored. Two round trips: versions, and the write. */
  async set(entryKey: EntryKey, policy: Policy, value: T): Promise<boolean> {
    const { tiers, stats } = this.#context
    const { versions } = await tiers.find(entryKey, policy.tags)
    const entry = this.#entry(policy, versions, value, 0)
    if (entry === undefined || !(await tiers.keep(entryKey, entry))) return false
    tiers.tellReplaced(entryKey)
    stats.stored({ ...entryKey, model: entry.model })
    return true
  }

  #callOf(entryKey: EntryKey, policy: Policy, produce: () => Promise<T>): Call<LiveValue<T>> {
    return {
      entryKey,
      policy,
      model: 'unknown',
      isOutage: isProviderOutage,
      suits: this.#suits,
      joins: isShareable,
      produce: (context) => this.#produce(policy, produce, context),
    }
  }

  async #produce(
    policy: Policy,
    produce: () => Promise<T>,
    { versions }: ProduceContext,
  ): Promise<Produced<LiveValue<T>>> {
    const began = performance.now()
    const value = await produce()
    const entry = this.#entry(policy, versions, value, performance.now() - began)
    const model = entry?.model ?? this.#codec.describe(value).model
    return { live: { value, entry, model }, ended: Promise.resolve(entry) }
  }

  /** The value is neither looked up, nor stored, nor shared. */
  async #bypass(entryKey: EntryKey, produce: () => Promise<T>): Promise<Detailed<T>> {
    const { stats, metrics } = this.#context
    const began = performance.now()
    try {
      const value = await produce()
      this.#count('bypass', entryKey, this.#codec.describe(value).model, undefined)
      return { value, cached: false, outcome: 'bypass', source: 'memory', ageMs: 0, savedTokens: 0 }
    } catch (error) {
      stats.failed({ ...entryKey, model: 'unknown' })
      throw error
    } finally {
      metrics.called(performance.now() - began, 'unknown')
    }
  }

  #detail(found: Found<LiveValue<T>>, entryKey: EntryKey): Detailed<T> {
    const nothing = { source: 'memory', ageMs: 0, savedTokens: 0 } as const
    // Only with `onlyIfCached`, which is documented to give `undefined` for a miss.
    if (found.kind === 'nothing') {
      this.#count('miss', entryKey, 'unknown', undefined)
      return { ...nothing, value: undefined as T, cached: false, outcome: 'miss' }
    }
    const { outcome, source } = found
    if (found.kind === 'live' && outcome === 'miss') {
      const { value, model } = found.live
      this.#count('miss', entryKey, model, undefined)
      return { ...nothing, value, cached: false, outcome, source }
    }
    const entry = found.kind === 'entry' ? found.entry : found.live.entry
    if (entry === undefined) throw new TypeError('A value that can not be kept was shared')
    const { model, usage } = entry
    this.#count(outcome, entryKey, model, usage)
    const savedTokens = usage.input + usage.output
    // Each caller that shares an answer gets a copy.
    const value = this.#codec.decode(entry.body)
    return { value, cached: true, outcome, source, ageMs: ageOf(this.#context, entry), savedTokens }
  }

  #suits = (entry: Entry): boolean => entry.kind === this.#kind

  /** `undefined` if the value can't be stored; its caller gets it all the same. */
  #entry(policy: Policy, versions: Entry['versions'], value: T, costMs: number): Entry | undefined {
    try {
      const body = this.#codec.encode(value)
      if (body === undefined) return undefined
      const { model, usage } = this.#codec.describe(value)
      return {
        ...timesOf(this.#context, policy),
        kind: this.#kind,
        costMs,
        versions,
        model,
        usage,
        status: 200,
        contentType: this.#codec.contentType,
        timing: [],
        body,
      }
    } catch (error) {
      log('a value can not be kept: %s', error)
      this.#codec.onRefused?.(error)
      return undefined
    }
  }

  #countEntry(entry: Entry, entryKey: EntryKey): void {
    const outcome = isPast(this.#context, entry) ? 'stale' : 'hit'
    this.#count(outcome, entryKey, entry.model, entry.usage)
  }

  #count(outcome: Outcome, entryKey: EntryKey, model: string, saved: Usage | undefined): void {
    const { stats } = this.#context
    const of = { tenant: entryKey.tenant, name: entryKey.name, model }
    stats.knows(model)
    if (outcome === 'bypass') stats.bypassed('asked-for', of)
    else stats.answered(outcome, of, saved ?? noUsage)
  }

  #frozen(held: CachedEntry): T {
    held.frozen ??= deepFreeze(this.#codec.decode(held.entry.body))
    return held.frozen as T
  }
}

function isShareable({ entry }: LiveValue<unknown>): boolean {
  return entry !== undefined
}

async function neverCalled(): Promise<never> {
  throw new TypeError('A look without a call has called')
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  // Bytes can't be frozen; they are shared as they are.
  if (ArrayBuffer.isView(value)) return value
  for (const member of Object.values(value)) deepFreeze(member)
  return Object.freeze(value)
}
