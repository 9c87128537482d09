import type { Source } from '@evenkeel/core'
import type { Policy } from '../call-options.js'
import type { Entry, EntryKind } from '../entry/entry.js'
import { entryKeyId } from '../stores/entry-key.js'
import type { CachedEntry } from '../stores/memory-entries.js'
import type { EntryKey } from '../stores/port.js'
import type { Outcome } from '../usage/stats.js'
import { noUsage, type Usage, usageOf } from '../usage/tokens.js'
import { ageOf, type EntryLookup, type LookupContext, lookHere, lookUp, timesOf } from './context.js'
import type { FlightLease } from './flight.js'

export interface Detailed<T> {
  readonly value: T
  /** Whether the function was not called for this answer. */
  readonly cached: boolean
  readonly outcome: Outcome
  /** Which store was asked; `memory` also where this process's own copy was enough. */
  readonly source: Source
  /** Age of the answer in milliseconds; 0 for a new one. */
  readonly ageMs: number
  /** Tokens that the provider had counted for a reused answer; 0 where it told none. */
  readonly savedTokens: number
}

/** How values of one kind are written and read. */
export interface ValueKind<T> {
  readonly kind: EntryKind
  readonly contentType: string
  /** Nothing for what can't be kept; it is passed on. */
  encode(value: T): string | Buffer | undefined
  decode(body: string | Buffer): T
  describe(value: T): { readonly model: string; readonly usage: Usage }
}

/** JSON, as any function's answer. */
export const jsonValues: ValueKind<unknown> = {
  kind: 'value',
  contentType: 'application/json',
  encode: (value) => JSON.stringify(value) as string | undefined,
  decode: (body) => JSON.parse(typeof body === 'string' ? body : body.toString()),
  describe: (value) => ({ model: modelOf(value), usage: usageOf(value) }),
}

/** One call of the provider, and all who wait for it. */
interface Flight {
  readonly answer: Promise<Produced>
}

interface Produced {
  readonly outcome: 'hit' | 'miss' | 'coalesced' | 'stale'
  /** As kept, of which everybody can make a copy; nothing for what can't be kept. */
  readonly body: string | Buffer | undefined
  /** What the provider gave, for the caller that it was called for. */
  readonly value: unknown
  readonly entry: Entry | undefined
  readonly source: Source
  readonly model: string
  readonly usage: Usage
}

/** After so many leaders that died over one answer, a process calls the provider for itself. */
const maxLeaders = 3

/** Look-ups of values: in this process, in flight here, in Redis, in flight elsewhere, at the provider. */
export class Values<T> {
  readonly #engine: LookupContext
  readonly #kind: ValueKind<T>
  readonly #flights = new Map<string, Flight>()
  /** Look-ups on their way to Redis. */
  readonly #looks = new Map<string, { readonly policy: Policy; readonly looked: Promise<EntryLookup> }>()

  constructor(engine: LookupContext, kind: ValueKind<T>) {
    this.#engine = engine
    this.#kind = kind
  }

  /** The value alone, on the shortest way. `isShared`: everybody gets one deeply frozen value. */
  get(entryKey: EntryKey, policy: Policy, produce: () => Promise<T>, isShared = false): Promise<T> {
    if (policy.useCache && !policy.refresh) {
      const here = lookHere(this.#engine, entryKey, policy)
      if (here !== undefined) {
        const { held, verdict } = here
        this.#countHere(held, entryKey)
        if (verdict === 'renew') this.#renew(entryKey, policy, produce, held.entry.id)
        return Promise.resolve(isShared ? this.#frozen(held) : this.#kind.decode(held.entry.body))
      }
    }
    const detailed = this.#beyond(entryKey, policy, produce)
    return isShared ? detailed.then(({ value }) => deepFreeze(value)) : detailed.then(({ value }) => value)
  }

  async detailed(entryKey: EntryKey, policy: Policy, produce: () => Promise<T>): Promise<Detailed<T>> {
    const here = policy.refresh || !policy.useCache ? undefined : lookHere(this.#engine, entryKey, policy)
    if (here === undefined) return this.#beyond(entryKey, policy, produce)
    const { entry } = here.held
    const outcome = this.#countHere(here.held, entryKey)
    if (here.verdict === 'renew') this.#renew(entryKey, policy, produce, entry.id)
    return this.#reused(
      outcome,
      this.#kind.decode(entry.body),
      'memory',
      ageOf(this.#engine, entry),
      entry.usage,
    )
  }

  /** What this process can't answer by itself. */
  async #beyond(entryKey: EntryKey, policy: Policy, produce: () => Promise<T>): Promise<Detailed<T>> {
    if (!policy.useCache) {
      const value = await this.#call(entryKey, produce)
      const { model } = this.#kind.describe(value)
      this.#count('bypass', entryKey, model, undefined)
      return { value, cached: false, outcome: 'bypass', source: 'memory', ageMs: 0, savedTokens: 0 }
    }
    if (policy.onlyIfCached) {
      const value = (await this.peek(entryKey, policy)) as T
      const cached = value !== undefined
      const outcome = cached ? 'hit' : 'miss'
      return { value, cached, outcome, source: 'memory', ageMs: 0, savedTokens: 0 }
    }
    const id = entryKeyId(entryKey)
    // Who asks for a new answer does not want the one that is under way.
    const under = policy.refresh ? undefined : this.#flights.get(id)
    if (under === undefined && !policy.refresh) {
      // A hit needs nobody to share it with: what costs is what comes after a miss.
      const looked = await this.#look(id, entryKey, policy)
      if (looked.entry !== undefined) {
        if (looked.verdict === 'renew') this.#renew(entryKey, policy, produce, looked.entry.id)
        return this.#found(looked.entry, entryKey, looked.source)
      }
      const since = this.#flights.get(id)
      return this.#landed(
        since ?? this.#fly(id, entryKey, policy, produce, looked),
        since !== undefined,
        entryKey,
        policy,
        produce,
      )
    }
    return this.#landed(
      under ?? this.#fly(id, entryKey, policy, produce),
      under !== undefined,
      entryKey,
      policy,
      produce,
    )
  }

  /** Who asks for the same at the same time asks once. */
  #look(id: string, entryKey: EntryKey, policy: Policy): Promise<EntryLookup> {
    const under = this.#looks.get(id)
    if (under !== undefined && under.policy === policy) return under.looked
    const looked = lookUp(this.#engine, entryKey, policy, this.#suits)
    this.#looks.set(id, { policy, looked })
    const end = () => void this.#looks.delete(id)
    looked.then(end, end)
    return looked
  }

  #found(entry: Entry, entryKey: EntryKey, source: Source): Detailed<T> {
    const outcome = isPast(this.#engine, entry) ? 'stale' : 'hit'
    this.#count(outcome, entryKey, entry.model, entry.usage)
    return this.#reused(
      outcome,
      this.#kind.decode(entry.body),
      source,
      ageOf(this.#engine, entry),
      entry.usage,
    )
  }

  /** What a flight gives to one of those who wait for it. */
  async #landed(
    { answer }: Flight,
    isJoined: boolean,
    entryKey: EntryKey,
    policy: Policy,
    produce: () => Promise<T>,
  ): Promise<Detailed<T>> {
    const { outcome, body, value, entry, source, model, usage } = await answer
    if (isJoined && body === undefined) {
      // It can't be shared, so nobody was spared anything.
      return this.#beyond(entryKey, { ...policy, useCache: false }, produce)
    }
    const joined = isJoined && outcome === 'miss' ? 'coalesced' : outcome
    this.#count(joined, entryKey, model, joined === 'miss' ? undefined : usage)
    if (joined === 'miss') {
      return { value: value as T, cached: false, outcome: 'miss', source, ageMs: 0, savedTokens: 0 }
    }
    // Whoever shares an answer gets a copy of its own.
    const copy = body === undefined ? (value as T) : this.#kind.decode(body)
    return this.#reused(joined, copy, source, entry === undefined ? 0 : ageOf(this.#engine, entry), usage)
  }

  /** What is there, fresh, without calling anybody. One round trip at most. */
  async peek(entryKey: EntryKey, policy: Policy, isCounted = true): Promise<T | undefined> {
    const here = lookHere(this.#engine, entryKey, policy)
    const entry = here?.held.entry ?? (await lookUp(this.#engine, entryKey, policy, this.#suits)).entry
    if (isCounted)
      this.#count(entry === undefined ? 'miss' : 'hit', entryKey, entry?.model ?? 'unknown', entry?.usage)
    return entry === undefined ? undefined : this.#kind.decode(entry.body)
  }

  /** Says whether it was kept. Two round trips: versions, and the write. */
  async set(entryKey: EntryKey, policy: Policy, value: T): Promise<boolean> {
    const { tiers, stats } = this.#engine
    const { versions } = await tiers.find(entryKey, policy.tags)
    const entry = this.#entry(policy, versions, value, 0)
    if (entry === undefined || !(await tiers.keep(entryKey, entry))) return false
    tiers.tellReplaced(entryKey)
    stats.stored(entryKey.namespace, entry.model)
    return true
  }

  #suits = (entry: Entry): boolean => entry.kind === this.#kind.kind

  #fly(
    id: string,
    entryKey: EntryKey,
    policy: Policy,
    produce: () => Promise<T>,
    looked?: EntryLookup,
  ): Flight {
    let landed = () => {}
    const kept = new Promise<void>((resolve) => {
      landed = resolve
    })
    const flight: Flight = { answer: this.#produce(entryKey, policy, produce, landed, looked) }
    this.#flights.set(id, flight)
    // Until the entry is there, who asks joins what has just ended.
    const end = () => {
      if (this.#flights.get(id) === flight) this.#flights.delete(id)
    }
    flight.answer.then(() => kept, landed).finally(end)
    return flight
  }

  async #produce(
    entryKey: EntryKey,
    policy: Policy,
    produce: () => Promise<T>,
    landed: () => void,
    known: EntryLookup | undefined,
  ): Promise<Produced> {
    const looked = known ?? (await lookUp(this.#engine, entryKey, policy, this.#suits))
    try {
      return await this.#lead(entryKey, policy, produce, looked, landed)
    } catch (error) {
      landed()
      if (looked.grace === undefined) throw error
      return this.#produced('stale', looked.grace, looked.source)
    }
  }

  /** Calls the provider, or waits for whoever calls it. */
  async #lead(
    entryKey: EntryKey,
    policy: Policy,
    produce: () => Promise<T>,
    looked: EntryLookup,
    landed: () => void,
  ): Promise<Produced> {
    const { coordinator } = this.#engine
    for (let leaders = 0; leaders < maxLeaders; leaders++) {
      const part = await coordinator.begin(entryKey, looked.id)
      if (part.role === 'hit') {
        const found = await lookUp(this.#engine, entryKey, policy, this.#suits)
        if (found.entry === undefined) break
        landed()
        return this.#produced('hit', found.entry, found.source)
      }
      if (part.role === 'follow') {
        const end = await this.#endOf(entryKey, part.generation)
        // A leader that died leaves its place to the next one; one that failed says what would happen here too.
        if (end === 'lost') continue
        const found = end === 'end' ? await lookUp(this.#engine, entryKey, policy, this.#suits) : undefined
        if (found?.entry === undefined) break
        landed()
        return this.#produced('coalesced', found.entry, found.source)
      }
      return this.#callAs(part.lead, policy, produce, looked, landed)
    }
    return this.#callAs(coordinator.alone(entryKey), policy, produce, looked, landed)
  }

  /** Calls the provider and keeps what it gives, behind the answer; `landed` when others can find it. */
  async #callAs(
    lead: FlightLease,
    policy: Policy,
    produce: () => Promise<T>,
    { versions, source, id }: Pick<EntryLookup, 'versions' | 'source' | 'id'>,
    landed: () => void,
  ): Promise<Produced> {
    const { tiers, stats } = this.#engine
    const { entryKey } = lead
    const began = performance.now()
    let value: T
    try {
      value = await this.#call(entryKey, produce)
    } catch (error) {
      void lead.fail('error').finally(landed)
      throw error
    }
    const entry = this.#entry(policy, versions, value, performance.now() - began)
    void lead
      .commit(entry, false)
      .then((outcome) => {
        if (outcome === 'publish') return lead.fail('not kept')
        if (outcome !== 'kept' || entry === undefined) return undefined
        stats.stored(entryKey.namespace, entry.model)
        if (id !== '') tiers.tellReplaced(entryKey)
        return undefined
      })
      .finally(landed)
    return this.#missed(value, entry, source)
  }

  async #endOf(entryKey: EntryKey, generation: string): Promise<'end' | 'failed' | 'lost'> {
    for await (const { type } of this.#engine.coordinator.follow(entryKey, generation)) {
      if (type === 'end' || type === 'failed') return type
    }
    return 'lost'
  }

  /** Behind an answer that was served already: one instance renews, the others go on serving. */
  #renew(entryKey: EntryKey, policy: Policy, produce: () => Promise<T>, entryId: string): void {
    const id = `renew ${entryKeyId(entryKey)}`
    if (this.#flights.has(id)) return
    const renewal = async (): Promise<Produced> => {
      const { coordinator, tiers } = this.#engine
      const part = await coordinator.begin(entryKey, entryId)
      if (part.role !== 'lead') return { ...nothing, outcome: 'hit', source: 'redis' }
      const { versions, source } = await tiers.find(entryKey, policy.tags)
      const looked = { versions, source, id: entryId }
      // Until it is kept, nobody else renews it.
      return new Promise((resolve, reject) => {
        const renewed = this.#callAs(part.lead, policy, produce, looked, () => resolve(renewed))
        renewed.catch(reject)
      })
    }
    const answer = this.#engine.scope.leave(renewal)
    this.#flights.set(id, { answer })
    // What was served stays valid for a while; the next reader tries again.
    answer.catch(() => {}).finally(() => this.#flights.delete(id))
  }

  async #call(entryKey: EntryKey, produce: () => Promise<T>): Promise<T> {
    const began = performance.now()
    try {
      return await produce()
    } catch (error) {
      this.#engine.stats.failed(entryKey.namespace, 'unknown')
      throw error
    } finally {
      this.#engine.metrics.called(performance.now() - began, 'unknown')
    }
  }

  #entry(policy: Policy, versions: EntryLookup['versions'], value: T, costMs: number): Entry | undefined {
    const body = this.#kind.encode(value)
    if (body === undefined) return undefined
    const { kind, contentType } = this.#kind
    const times = timesOf(this.#engine, policy)
    return {
      ...times,
      kind,
      costMs,
      versions,
      ...this.#kind.describe(value),
      status: 200,
      contentType,
      timing: [],
      body,
    }
  }

  #produced(outcome: 'hit' | 'coalesced' | 'stale', entry: Entry, source: Source): Produced {
    const { body, model, usage } = entry
    return { outcome, body, value: undefined, entry, source, model, usage }
  }

  #missed(value: T, entry: Entry | undefined, source: Source): Produced {
    const { model, usage } = entry ?? this.#kind.describe(value)
    return { outcome: 'miss', body: entry?.body, value, entry: undefined, source, model, usage }
  }

  #reused(outcome: Outcome, value: T, source: Source, ageMs: number, usage: Usage): Detailed<T> {
    return { value, cached: true, outcome, source, ageMs, savedTokens: usage.input + usage.output }
  }

  #countHere({ entry }: CachedEntry, entryKey: EntryKey): 'hit' | 'stale' {
    const outcome = isPast(this.#engine, entry) ? 'stale' : 'hit'
    this.#count(outcome, entryKey, entry.model, entry.usage)
    return outcome
  }

  #count(outcome: Outcome, { namespace }: EntryKey, model: string, saved: Usage | undefined): void {
    this.#engine.stats.answered(outcome, namespace, model, saved)
  }

  #frozen(held: CachedEntry): T {
    held.frozen ??= deepFreeze(this.#kind.decode(held.entry.body))
    return held.frozen as T
  }
}

const nothing = { body: undefined, value: undefined, entry: undefined, model: 'unknown', usage: noUsage }

function isPast({ options }: LookupContext, { freshUntilMs }: Entry): boolean {
  return options.clock.now() >= freshUntilMs
}

function modelOf(value: unknown): string {
  const model = typeof value === 'object' && value !== null && 'model' in value ? value.model : undefined
  return typeof model === 'string' ? model : 'unknown'
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  // Bytes can't be frozen; they are shared as they are.
  if (ArrayBuffer.isView(value)) return value
  for (const member of Object.values(value)) deepFreeze(member)
  return Object.freeze(value)
}
