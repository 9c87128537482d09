import { createLog, type LongTimer, setLongTimeout } from '@evenkeel/core/kit'
import type { Entry, Version } from '../entry/entry.js'
import { judge } from '../entry/freshness.js'
import { ProviderStalledError } from '../errors.js'
import { entryKeyId } from '../stores/entry-key.js'
import type { CachedEntry } from '../stores/memory-entries.js'
import type { Alternative, Call, Found, Produced, Successor } from './call.js'
import { isSameCaller } from './call.js'
import { type EntryLookup, isPast, type LookupContext, lookHere, lookUp } from './context.js'
import { type Beginning, type FlightLease, isGivenUp } from './flight.js'
import { SharedCall } from './shared-call.js'

const log = createLog('llm-response-cache')

/** After this many leaders that died over one answer, a process calls the provider for itself. */
const maxLeaders = 3

/** After this many calls that it could not join, a caller makes its own call. */
const maxJoins = 3

/** Slot of the call that renews an entry in the background; a caller's own call has the entry's id as its slot. */
const renewalSlot = (id: string) => `renew ${id}`

/**
 * Finds an answer of any kind, in this order: in the memory of this process, in a call under way here, in Redis, in a
 * call under way in another instance, at the provider; and stores it. What differs between values, HTTP responses and
 * streams of parts is in the `Call`.
 */
export class Lookup<L> {
  readonly #context: LookupContext

  constructor(context: LookupContext) {
    this.#context = context
  }

  /** Returns an entry from this process's memory, synchronously; renews it in the background if it is time. */
  here(call: Call<L>): CachedEntry | undefined {
    if (call.policy.refresh) return undefined
    const here = lookHere(this.#context, call.entryKey, call.policy)
    if (here === undefined || !call.suits(here.held.entry)) return undefined
    if (here.verdict === 'renew') this.#renew(call, here.held.entry.id)
    return here.held
  }

  /** @throws what the provider's call throws, or the caller's own signal's reason */
  async find(call: Call<L>): Promise<Found<L>> {
    call.signal?.throwIfAborted()
    const here = this.here(call)
    return here === undefined ? this.beyond(call) : this.#entryFound(here.entry, 'memory')
  }

  /** {@link find}, after `here` has found nothing. */
  async beyond(call: Call<L>): Promise<Found<L>> {
    call.signal?.throwIfAborted()
    const { refresh, onlyIfCached } = call.policy
    let slot = entryKeyId(call.entryKey)
    let isApart = false
    for (let joins = 0; joins < maxJoins; joins++) {
      // A caller that asks for a new answer does not want one that is under way.
      const under = refresh ? undefined : this.#joinable(slot, call)
      if (under === undefined) break
      call.onWaits?.()
      const joined = await this.#join(under, call)
      if (joined === 'apart') {
        if (call.form === undefined)
          return onlyIfCached ? { kind: 'nothing' } : this.#begin(undefined, call, true)
        slot += ` ${call.form}`
        isApart = true
      } else if (joined !== 'again') return joined
    }
    if (onlyIfCached) return this.#onlyKept(call)
    const found = await this.#begin(slot, call, isApart)
    // Another instance's answer has a form that this caller can't use.
    if (found.kind === 'live' && found.outcome === 'coalesced' && !call.joins(found.live)) {
      return this.#begin(undefined, call, true)
    }
    return found
  }

  /** All look-ups of a cache share its calls: the names of their entries tell the kinds apart. */
  #underWay(slot: string): SharedCall<L> | undefined {
    return this.#context.calls.get(slot) as SharedCall<L> | undefined
  }

  /** The call that is under way, if this caller may share it. */
  #joinable(slot: string, call: Call<L>): SharedCall<L> | undefined {
    const under = this.#underWay(slot)
    if (under === undefined || under.isGivenUp) return undefined
    if (call.isRetry === true && !under.options.isRetry && under.found === undefined) return undefined
    const { tiers, options } = this.#context
    // A call that began before an invalidation must not be joined after it.
    if (under.versions !== undefined && !tiers.areCurrent(call.entryKey.tenant, under.versions))
      return undefined
    const answered = under.answeredAtMs
    if (answered !== undefined && options.clock.now() - answered >= call.policy.maxAgeMs) return undefined
    return under
  }

  /** `again`: the call gave this caller no answer. `apart`: this caller can't use the answer that others get. */
  async #join(under: SharedCall<L>, call: Call<L>): Promise<Found<L> | 'again' | 'apart'> {
    const wasEnded = under.isEnded
    let found: Found<L>
    try {
      found = await under.wait(call.signal)
    } catch (error) {
      if (call.signal?.aborted) throw error
      // A caller that joined does not get the error of a call that hung, or one about another caller's account.
      const isHis = isSameCaller(under.options.identity, call.identity) && !under.signal.aborted
      if (isHis) throw error
      return 'again'
    }
    if (found.kind === 'live') {
      if (!call.joins(found.live)) return 'apart'
      return { ...found, outcome: wasEnded ? 'hit' : 'coalesced' }
    }
    if (found.kind === 'nothing') return 'again'
    const { clock, random } = this.#context.options
    const verdict = judge(found.entry, clock.now(), { ...call.policy, earlyRefresh: 0 }, random)
    const isServed = verdict === 'fresh' || verdict === 'renew' || found.isGrace === true
    return isServed && call.suits(found.entry) ? found : 'again'
  }

  /** Begins a call that others may join, unless there is no `slot`; `isApart` keeps it from other instances. */
  #begin(slot: string | undefined, call: Call<L>, isApart: boolean): Promise<Found<L>> {
    const { calls } = this.#context
    const previous = slot === undefined ? undefined : this.#underWay(slot)
    const tracked = { entryKey: call.entryKey, model: call.model, slot }
    const shared = new SharedCall<L>({
      identity: call.identity,
      isRetry: call.isRetry ?? false,
      onAbandon: this.#context.options.onAbandon,
      abandoned: this.#context.abandoned,
      avoided: previous?.isGivenUp ? previous.generation : undefined,
      finish: (self) => calls.delete(self as SharedCall<unknown>, tracked),
    })
    calls.add(shared as SharedCall<unknown>, tracked)
    const run = this.#run(shared, call, isApart)
    shared.begin(run)
    run.then(
      // A live answer stays until it is stored, so that latecomers can join it.
      (found) => found.kind !== 'live' && shared.finish(),
      () => shared.finish(),
    )
    return shared.wait(call.signal)
  }

  async #run(shared: SharedCall<L>, call: Call<L>, isApart: boolean): Promise<Found<L>> {
    const looked = await lookUp(this.#context, call)
    shared.versions = looked.versions
    if (looked.entry !== undefined && !call.policy.refresh) {
      if (looked.verdict === 'renew') this.#renew(call, looked.entry.id)
      return this.#entryFound(looked.entry, looked.source)
    }
    const other = call.policy.refresh ? undefined : await call.alternative?.()
    if (other?.entry !== undefined && call.suits(other.entry)) {
      return { ...this.#entryFound(other.entry, looked.source), told: other.told }
    }
    try {
      const found = await this.#call(shared, call, looked, { isApart, other })
      if (found.kind !== 'live' || found.isFailure !== true) return found
      return this.#instead(looked, other) ?? found
    } catch (error) {
      const instead = call.isOutage(error) ? this.#instead(looked, other) : undefined
      if (instead === undefined) throw error
      return instead
    }
  }

  /** What may be served if the provider fails. */
  #instead({ grace, source }: EntryLookup, other: Alternative | undefined): Found<L> | undefined {
    if (grace !== undefined) return { kind: 'entry', entry: grace, outcome: 'stale', source, isGrace: true }
    const withheld = other?.fallback()
    return withheld && { ...this.#entryFound(withheld.entry, source), told: withheld.told }
  }

  /** Calls the provider, or follows the instance that calls it. */
  async #call(
    shared: SharedCall<L>,
    call: Call<L>,
    looked: EntryLookup,
    { isApart, other }: { readonly isApart: boolean; readonly other: Alternative | undefined },
  ): Promise<Found<L>> {
    const { coordinator } = this.#context
    const lead = (lease: FlightLease) => this.#lead(shared, call, lease, { ...looked, other })
    for (let leaders = 0; leaders < maxLeaders && !isApart && looked.versions !== undefined; leaders++) {
      const beginning = beginningOf(call, looked, looked.id)
      const role = await coordinator.begin(call.entryKey, beginning).catch(failedToBegin)
      // A call that began before the entry was deleted is of no use to this caller.
      if (role === undefined || role.role === 'apart') break
      if (role.role === 'lead') return lead(role.lease)
      if (role.role === 'follow') {
        // A call under way is of no use to a caller that asks for a new answer, or gave up an earlier call.
        const isOwnCall = call.policy.refresh || call.isRetry === true
        const isCurrent = await this.#isCurrent(call, role.versions, looked)
        if (!isCurrent || isOwnCall || role.generation === shared.options.avoided) break
        shared.generation = role.generation
        call.onWaits?.()
        const followed = await this.#follow(shared, call, role.generation, looked)
        if (followed.kind === 'live') {
          shared.answeredAtMs = this.#context.options.clock.now()
          void followed.ended.catch(() => {}).finally(() => shared.finish())
          return { kind: 'live', live: followed.live, outcome: 'coalesced', source: looked.source }
        }
        if (followed.kind === 'lost') continue
        if (followed.kind === 'failed') break
      }
      const found = await lookUp(this.#context, call)
      if (found.entry === undefined) break
      const outcome = role.role === 'follow' ? 'coalesced' : 'hit'
      return { kind: 'entry', entry: found.entry, outcome, source: found.source }
    }
    return lead(coordinator.alone(call.entryKey))
  }

  /** Calls the provider under a lease. Whatever happens, the lease is given back and the call ends. */
  async #lead(shared: SharedCall<L>, call: Call<L>, lease: FlightLease, looked: Looked): Promise<Found<L>> {
    shared.lease = lease
    shared.generation = lease.generation
    const { options, stats, metrics } = this.#context
    const began = performance.now()
    let stalled: LongTimer | undefined
    const progress = () => {
      stalled?.clear()
      // A caller's promise does not keep the process alive, and a provider that hangs may leave nothing that does.
      stalled = setLongTimeout(() => shared.end(new ProviderStalledError(options.stallMs)), options.stallMs, {
        ref: shared.isAwaited,
      })
    }
    try {
      // All callers left before the call began.
      if (shared.isAbandoned) throw new Error('All callers left the call')
      progress()
      const versions = looked.versions ?? []
      const producing = call.produce({ lease, versions, signal: shared.signal, progress })
      const produced = await shared.untilEnded(producing).catch((error: unknown) => {
        discard(call, producing)
        throw error
      })
      shared.answeredAtMs = options.clock.now()
      if (produced.isFailure === true) stats.failed({ ...call.entryKey, model: call.model })
      void this.#keep(shared, call, lease, { produced, looked })
      const { live, isFailure } = produced
      return { kind: 'live', live, outcome: 'miss', source: looked.source, isFailure }
    } catch (error) {
      if (call.isPartOfBatch !== true) stats.failed({ ...call.entryKey, model: call.model })
      void lease.fail('no answer').finally(() => shared.finish())
      throw error
    } finally {
      stalled?.clear()
      if (call.isPartOfBatch !== true) metrics.called(performance.now() - began, call.model)
    }
  }

  /** Stores the answer when it has ended, if it may be stored, and always gives back the lease. Never rejects. */
  async #keep(
    shared: SharedCall<L>,
    call: Call<L>,
    lease: FlightLease,
    { produced, looked }: { readonly produced: Produced<L>; readonly looked: Looked },
  ): Promise<void> {
    const { stats, tiers } = this.#context
    try {
      const ended = await produced.ended
      shared.isEnded = true
      const { tenant } = call.entryKey
      // An entry with outdated versions could replace that of a call which began after the invalidation.
      const isOver = () =>
        looked.versions === undefined || shared.isVoid || !tiers.areCurrent(tenant, looked.versions)
      const kept = () => (isOver() ? undefined : ended)
      // An answer that is not stored is for the callers that have it already, not for later ones.
      if (kept() === undefined) shared.finish()
      const isPublished = (await produced.published?.()) ?? false
      let outcome = await lease.commit(kept(), isPublished)
      if (outcome === 'publish' && (await produced.publish?.())) outcome = await lease.commit(kept(), true)
      if (outcome === 'publish') return await lease.fail('the answer can not be shared')
      const entry = kept()
      if (outcome !== 'kept' || entry === undefined) return
      stats.stored({ ...call.entryKey, model: entry.model })
      if (looked.id !== '') tiers.tellReplaced(call.entryKey)
      looked.other?.learn(entry)
    } catch (error) {
      log('an answer was not kept: %s', error)
      shared.finish()
      await lease.fail('the answer broke off')
    } finally {
      shared.finish()
    }
  }

  /** Whether a call of another instance began after all invalidations that this caller knows of. */
  #isCurrent({ entryKey }: Call<L>, versions: readonly Version[], looked: EntryLookup): Promise<boolean> {
    const { tiers } = this.#context
    return tiers.holds(entryKey.tenant, versions, looked.versions ?? []).catch(() => false)
  }

  async #follow(shared: SharedCall<L>, call: Call<L>, generation: string, looked: EntryLookup) {
    const stopping = new AbortController()
    const records = this.#context.coordinator.follow(call.entryKey, generation, stopping.signal)
    const options = {
      succeed: () => this.#succeed(shared, call, looked),
      stop: () => stopping.abort(),
    }
    try {
      if (call.follow !== undefined) return await call.follow(records, options)
      for await (const { type, data } of records) {
        if (type === 'end') return { kind: 'entry' } as const
        if (type === 'failed') return { kind: isGivenUp(data) ? 'lost' : 'failed' } as const
      }
      return { kind: 'lost' } as const
    } catch (error) {
      log('a call of another instance could not be followed: %s', error)
      return { kind: 'failed' } as const
    }
  }

  /** Gets an answer again whose leader died after a part of it was passed on: another instance leads, or this one. */
  async #succeed(shared: SharedCall<L>, call: Call<L>, looked: EntryLookup): Promise<Successor<L>> {
    const found = await this.#call(shared, call, looked, { isApart: false, other: undefined })
    if (found.kind === 'live') return { kind: 'live', live: found.live }
    if (found.kind === 'entry') return { kind: 'body', body: Buffer.from(found.entry.body) }
    throw new TypeError('No other instance could complete the answer')
  }

  /** Renews a served entry in the background: one instance calls, the others go on serving the entry. */
  #renew(call: Call<L>, entryId: string): void {
    const slot = renewalSlot(entryKeyId(call.entryKey))
    const { coordinator, scope, calls } = this.#context
    if (calls.get(slot) !== undefined) return
    const tracked = { entryKey: call.entryKey, model: call.model, slot }
    const shared = new SharedCall<L>({
      identity: undefined,
      isRetry: false,
      onAbandon: 'finish',
      avoided: undefined,
      abandoned: this.#context.abandoned,
      finish: (self) => calls.delete(self as SharedCall<unknown>, tracked),
    })
    calls.add(shared as SharedCall<unknown>, tracked)
    const renewal = async (): Promise<Found<L>> => {
      const looked = await lookUp(this.#context, call)
      if (looked.versions === undefined) return { kind: 'nothing' }
      const role = await coordinator.begin(call.entryKey, beginningOf(call, looked, entryId))
      if (role.role !== 'lead') return { kind: 'nothing' }
      return this.#lead(shared, call, role.lease, { ...looked, id: entryId, other: undefined })
    }
    const run = scope.leave(renewal)
    shared.begin(run)
    // If this fails, the entry stays valid for a while, and the next reader tries again.
    run.then(
      (found) => found.kind !== 'live' && shared.finish(),
      () => shared.finish(),
    )
  }

  async #onlyKept(call: Call<L>): Promise<Found<L>> {
    const { entry, source } = await lookUp(this.#context, call)
    return entry === undefined ? { kind: 'nothing' } : this.#entryFound(entry, source)
  }

  #entryFound(entry: Entry, source: EntryLookup['source']) {
    const outcome = isPast(this.#context, entry) ? 'stale' : 'hit'
    return { kind: 'entry', entry, outcome, source } as const
  }
}

interface Looked extends EntryLookup {
  readonly other: Alternative | undefined
}

/** What other instances need to know about a call to follow it, or to void it. */
function beginningOf<L>({ model }: Call<L>, { versions = [] }: EntryLookup, unlessId: string): Beginning {
  return { unlessId, versions, model }
}

function failedToBegin(error: unknown): undefined {
  log('a call is not shared between instances: %s', error)
}

/** Releases the answer of a call that was ended, if it still comes. */
function discard<L>(call: Call<L>, producing: Promise<Produced<L>>): void {
  producing.then(
    ({ live, ended }) => {
      ended.catch(() => {})
      call.discard?.(live)
    },
    () => {},
  )
}
