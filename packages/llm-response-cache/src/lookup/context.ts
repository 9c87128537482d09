import type { Source } from '@evenkeel/core'
import { createLog } from '@evenkeel/core/kit'
import type { CallScope, Policy } from '../call-options.js'
import { type Entry, newEntryId, type Version } from '../entry/entry.js'
import { jittered, judge, type Verdict } from '../entry/freshness.js'
import type { ResolvedOptions } from '../options.js'
import type { CachedEntry } from '../stores/memory-entries.js'
import type { EntryKey } from '../stores/port.js'
import type { AbandonedWork } from '../streams/abandoned.js'
import type { TieredStore } from '../tiers/tiered-store.js'
import type { Metrics } from '../usage/metrics.js'
import type { StatsBook } from '../usage/stats.js'
import type { Calls } from './calls.js'
import type { FlightCoordinator } from './flight.js'

const log = createLog('llm-response-cache')

/** What all look-ups of one cache share. */
export interface LookupContext {
  readonly options: ResolvedOptions
  readonly tiers: TieredStore
  readonly coordinator: FlightCoordinator
  readonly stats: StatsBook
  readonly metrics: Metrics
  readonly scope: CallScope
  /** Calls that go on without a caller, in all look-ups of this cache. */
  readonly abandoned: AbandonedWork
  /** Calls that are under way in this process. */
  readonly calls: Calls
}

/** What was found in both tiers. */
export interface EntryLookup {
  /** The entry to serve, perhaps while it is renewed in the background. */
  readonly entry: Entry | undefined
  readonly verdict: Verdict
  /** The entry to serve if the provider fails. */
  readonly grace: Entry | undefined
  /** The id of the stored entry, served or not; empty if there is none. */
  readonly id: string
  /** The versions of a new entry; `undefined` if they could not be read, so that no entry can be stored. */
  readonly versions: readonly Version[] | undefined
  readonly source: Source
}

/** Returns an entry that this process may serve from its memory. No round trip. */
export function lookHere(
  { tiers, options }: LookupContext,
  entryKey: EntryKey,
  policy: Policy,
): { readonly held: CachedEntry; readonly verdict: 'fresh' | 'renew' } | undefined {
  const held = tiers.local(entryKey)
  if (held === undefined) return undefined
  const verdict = judge(held.entry, options.clock.now(), policy, options.random)
  return verdict === 'fresh' || verdict === 'renew' ? { held, verdict } : undefined
}

/** Looks in both tiers. One round trip. An entry that can't be read is a miss, never an error. */
export async function lookUp(
  { tiers, options }: LookupContext,
  {
    entryKey,
    policy,
    suits,
  }: { readonly entryKey: EntryKey; readonly policy: Policy; suits(entry: Entry): boolean },
): Promise<EntryLookup> {
  const found = await tiers.find(entryKey, policy.tags).catch((error: unknown) => {
    log('an entry could not be read: %s', error)
    return undefined
  })
  if (found === undefined) return unreadable
  const { entry, id, versions, source } = found
  const now = options.clock.now()
  const known = entry !== undefined && suits(entry) ? entry : undefined
  const verdict = known === undefined ? 'dead' : judge(known, now, policy, options.random)
  const isServed = verdict === 'fresh' || verdict === 'renew'
  return {
    entry: isServed ? known : undefined,
    verdict,
    grace: verdict === 'grace' ? known : undefined,
    id,
    versions,
    source,
  }
}

const unreadable: EntryLookup = {
  entry: undefined,
  verdict: 'dead',
  grace: undefined,
  id: '',
  versions: undefined,
  source: 'memory',
}

/** The id and the times of an entry for an answer that came now. */
export function timesOf(
  { options }: LookupContext,
  policy: Policy,
  ttlMs = policy.ttlMs,
): Pick<Entry, 'id' | 'createdAtMs' | 'freshUntilMs' | 'deadAtMs'> {
  const createdAtMs = options.clock.now()
  const freshUntilMs = createdAtMs + jittered(ttlMs, options.jitter, options.random)
  const deadAtMs = freshUntilMs + Math.max(policy.staleWhileRevalidateMs, policy.graceMs)
  return { id: newEntryId(), createdAtMs, freshUntilMs, deadAtMs }
}

export function ageOf({ options }: LookupContext, { createdAtMs }: Entry): number {
  return Math.max(0, options.clock.now() - createdAtMs)
}

export function isPast({ options }: LookupContext, { freshUntilMs }: Entry): boolean {
  return options.clock.now() >= freshUntilMs
}
