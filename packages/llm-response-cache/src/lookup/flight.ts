import { randomUUID } from 'node:crypto'
import type { Source } from '@evenkeel/core'
import { createLog } from '@evenkeel/core/kit'
import type { Entry, Version } from '../entry/entry.js'
import type { ResolvedOptions } from '../options.js'
import { entryKeyId } from '../stores/entry-key.js'
import { type EntryKey, givenUp, type LogRecord } from '../stores/port.js'
import type { TieredStore } from '../tiers/tiered-store.js'

const log = createLog('llm-response-cache')

/** What an instance does to get an answer that is not stored. */
export type FlightRole =
  | { readonly role: 'hit'; readonly entry: Entry; readonly source: Source }
  | { readonly role: 'lead'; readonly lease: FlightLease }
  | { readonly role: 'follow'; readonly generation: string; readonly versions: readonly Version[] }
  /** A call under way began before the entry was deleted: a new call is not shared with other instances. */
  | { readonly role: 'apart' }

/** Describes the call that an instance would make. */
export interface Beginning {
  /** The id of an entry that the caller cannot use; empty for none. */
  readonly unlessId: string
  /** Captured before the call. */
  readonly versions: readonly Version[]
  readonly model: string
}

/** A follower looks at the log when a message arrives, and at least this often. */
const lookEveryMs = 250

/** Decides which instance calls the provider, and passes its answer on to the others. */
export class FlightCoordinator {
  readonly #tiers: TieredStore
  readonly #options: ResolvedOptions
  readonly #owner = randomUUID()
  readonly #leads = new Map<string, FlightLease>()
  #inbox: Promise<() => void> | undefined

  constructor(tiers: TieredStore, options: ResolvedOptions) {
    this.#tiers = tiers
    this.#options = options
  }

  /** One round trip, or none if calls are not shared between instances. */
  async begin(entryKey: EntryKey, beginning: Beginning): Promise<FlightRole> {
    // Without Redis there is no other instance, and the callers of this one share a call already.
    if (this.#options.singleFlight !== 'shared' || this.#options.redis === undefined) {
      return { role: 'lead', lease: this.alone(entryKey) }
    }
    const generation = randomUUID()
    // Not awaited: without it followers are noticed at the next renewal of the lease.
    this.#inbox ??= this.#listen()
    const { leaseMs } = this.#options
    const options = { generation, owner: this.#owner, leaseMs, ...beginning }
    const wasShared = this.#tiers.state === 'primary'
    const { value: role, source } = await this.#tiers.run(({ flights }) => flights.begin(entryKey, options))
    // Redis may have given the lease and lost the reply: other instances would wait until that ends.
    if (wasShared && source === 'memory') this.#tiers.endLease({ entryKey, generation, records: 0 }, 'redis')
    switch (role.role) {
      case 'hit':
        return { role: 'hit', entry: role.entry, source }
      case 'follow':
        await this.#tiers.run(async ({ flights }) => flights.notifyLeader(role.owner, entryKey))
        return { role: 'follow', generation: role.generation, versions: role.versions }
      case 'apart':
        return role
      case 'lead': {
        const id = entryKeyId(entryKey)
        const lead: FlightLease = new FlightLease(
          this.#tiers,
          this.#options,
          entryKey,
          { generation, source },
          () => {
            if (this.#leads.get(id) === lead) this.#leads.delete(id)
          },
        )
        this.#leads.set(id, lead)
        return { role: 'lead', lease: lead }
      }
    }
  }

  /** A call that other instances can't join. */
  alone(entryKey: EntryKey): FlightLease {
    return new FlightLease(this.#tiers, this.#options, entryKey, undefined, ignore)
  }

  /**
   * Yields the records of a leader's log up to `end` or `failed`. Ends without either if the leader is lost, that is,
   * without a lease or silent for too long.
   */
  async *follow(entryKey: EntryKey, generation: string, signal?: AbortSignal): AsyncGenerator<LogRecord> {
    let wake = ignore
    const { value: unwatch } = await this.#tiers.run(({ flights }) => flights.watch(entryKey, () => wake()))
    let cursor = '0'
    let heardAt = performance.now()
    // A leader gives its provider up after `stallMs`, so one that is silent for longer is lost.
    const silentMs = this.#options.stallMs + this.#options.leaseMs
    try {
      while (signal?.aborted !== true && performance.now() - heardAt < silentMs) {
        const news = new Promise<void>((resolve) => {
          wake = resolve
        })
        const { value: view } = await this.#tiers.run(({ flights }) =>
          flights.look(entryKey, generation, cursor),
        )
        cursor = view.cursor
        for (const record of view.records) {
          yield record
          if (record.type === 'end' || record.type === 'failed') return
        }
        if (view.state === 'gone') return
        if (view.records.length > 0) {
          heardAt = performance.now()
          continue
        }
        const timer = setTimeout(() => wake(), lookEveryMs)
        await news
        clearTimeout(timer)
      }
    } finally {
      unwatch()
    }
  }

  async close(): Promise<void> {
    this.#inbox?.then((stop) => stop(), ignore)
    await Promise.all([...this.#leads.values()].map((lease) => lease.fail(givenUp.toString())))
  }

  /** If the Redis user may not read the channel, followers are noticed only at the next renewal. */
  async #listen(): Promise<() => void> {
    try {
      const { value } = await this.#tiers.run(({ flights }) =>
        flights.onNotified(this.#owner, (entryKey) => this.#leads.get(entryKeyId(entryKey))?.noteFollower()),
      )
      return value
    } catch (error) {
      log('followers in other instances are out of reach: %s', error)
      return () => {}
    }
  }
}

/**
 * A lease to call the provider for one answer, held until the answer is committed or failed. Without a lease
 * (calls are not shared, or it was lost) the call goes on, for the callers of this process alone.
 */
export class FlightLease {
  readonly entryKey: EntryKey
  readonly #tiers: TieredStore
  readonly #options: ResolvedOptions
  readonly #onDone: () => void
  readonly #timer: NodeJS.Timeout | undefined
  #lease: { readonly generation: string; readonly source: Source } | undefined
  #records = 0
  #followed = false
  #onFollowed: () => void = ignore
  #appending: Promise<unknown> = Promise.resolve()

  constructor(
    tiers: TieredStore,
    options: ResolvedOptions,
    entryKey: EntryKey,
    lease: { readonly generation: string; readonly source: Source } | undefined,
    onDone: () => void,
  ) {
    this.entryKey = entryKey
    this.#tiers = tiers
    this.#options = options
    this.#lease = lease
    this.#onDone = onDone
    if (lease === undefined) return
    this.#timer = setInterval(() => void this.#renew(), options.leaseMs / 4)
    this.#timer.unref()
  }

  /** Fences the lease; `undefined` if other instances can't join the call. */
  get generation(): string | undefined {
    return this.#lease?.generation
  }

  /** Calls back as soon as another instance waits for the answer; at once if one does already. */
  onceFollowed(onFollowed: () => void): void {
    if (this.#followed) return onFollowed()
    this.#onFollowed = onFollowed
  }

  noteFollower(): void {
    if (this.#followed || this.#lease === undefined) return
    this.#followed = true
    this.#onFollowed()
  }

  /** Adds to the log that followers read, in the order of the calls. Returns whether the lease was still held. */
  publish(records: readonly LogRecord[]): Promise<boolean> {
    const appended = this.#appending.then(() => this.#append(records))
    this.#appending = appended
    return appended
  }

  /**
   * Ends the flight. On `publish` it has not ended: the followers need the answer in the log, so publish it and commit
   * again. Never rejects.
   */
  async commit(entry: Entry | undefined, published: boolean): Promise<'kept' | 'not-kept' | 'publish'> {
    await this.#appending
    const lease = this.#lease
    const ttlMs = entry === undefined ? 1 : entry.deadAtMs - this.#options.clock.now()
    const wanted = entry !== undefined && ttlMs > 0 && this.#tiers.fits(entry) ? entry : undefined
    if (lease === undefined) {
      this.#done()
      return wanted !== undefined && (await this.#tiers.keep(this.entryKey, wanted)) ? 'kept' : 'not-kept'
    }
    try {
      const options = {
        ttlMs: Math.max(1, ttlMs),
        admitWithinMs: this.#options.admitWithinMs,
        published,
        records: this.#records,
      }
      const { value: outcome, source } = await this.#tiers.run(({ flights }) =>
        flights.commit(this.entryKey, lease.generation, wanted, options),
      )
      if (outcome === 'publish') return 'publish'
      this.#done()
      if (outcome === 'kept' && wanted !== undefined) {
        this.#tiers.noteKept(this.entryKey, wanted, source)
        return 'kept'
      }
      // An outage began or ended during the call, so the store of the commit never had the lease.
      const crossed = outcome === 'fenced' && source !== lease.source
      if (crossed) this.#endWhereHeld(lease, source)
      if (crossed && wanted !== undefined)
        return (await this.#tiers.keep(this.entryKey, wanted)) ? 'kept' : 'not-kept'
    } catch (error) {
      log('an answer could not be kept: %s', error)
      await this.fail('the answer could not be kept')
    }
    return 'not-kept'
  }

  /** Lets another instance lead, since no caller waits any more. If the answer still comes, it is stored. */
  giveUp(): void {
    void this.fail(givenUp.toString())
  }

  /** Ends the flight without an answer. Never rejects. */
  async fail(reason: string): Promise<void> {
    await this.#appending
    const lease = this.#lease
    this.#done()
    if (lease === undefined) return
    try {
      const { source } = await this.#tiers.run(({ flights }) =>
        flights.fail(this.entryKey, lease.generation, Buffer.from(reason), this.#records),
      )
      this.#endWhereHeld(lease, source)
    } catch (error) {
      log('followers did not learn of a failure: %s', error)
      this.#endWhereHeld(lease, undefined)
    }
  }

  /** Ends the lease in its own store if the call ended in the other one: others would follow a call that is over. */
  #endWhereHeld(
    { generation, source }: { readonly generation: string; readonly source: Source },
    endedAt: Source | undefined,
  ): void {
    if (source === endedAt) return
    this.#tiers.endLease({ entryKey: this.entryKey, generation, records: this.#records }, source)
  }

  async #append(records: readonly LogRecord[]): Promise<boolean> {
    const lease = this.#lease
    if (lease === undefined) return false
    const from = this.#records
    this.#records += records.length
    try {
      const { leaseMs } = this.#options
      const { value: followers } = await this.#tiers.run(({ flights }) =>
        records.length === 0
          ? flights.renew(this.entryKey, lease.generation, leaseMs)
          : flights.append(this.entryKey, lease.generation, leaseMs, from, records),
      )
      // The lease is lost: the answer is for this process's callers alone.
      if (followers < 0) clearInterval(this.#timer)
      else if (followers > 0) this.noteFollower()
      return followers >= 0
    } catch (error) {
      log('a lease could not be renewed: %s', error)
      return false
    }
  }

  async #renew(): Promise<void> {
    await this.publish([])
  }

  #done(): void {
    clearInterval(this.#timer)
    this.#lease = undefined
    this.#onDone()
  }
}

export function isGivenUp(reason: Buffer): boolean {
  return givenUp.equals(reason)
}

function ignore(): void {}
