import { randomUUID } from 'node:crypto'
import type { Source } from '@evenkeel/core'
import { createLog } from '@evenkeel/core/kit'
import type { Entry, Version } from '../entry/entry.js'
import type { ResolvedOptions } from '../options.js'
import { entryKeyId } from '../stores/entry-key.js'
import { type EntryKey, givenUp, type LogRecord } from '../stores/port.js'
import type { TieredStore } from '../tiers/tiered-store.js'

const log = createLog('llm-response-cache')

/** What an instance is to do for an answer that is not there. */
export type FlightRole =
  | { readonly role: 'hit'; readonly entry: Entry; readonly source: Source }
  | { readonly role: 'lead'; readonly lease: FlightLease }
  | { readonly role: 'follow'; readonly generation: string; readonly versions: readonly Version[] }
  /** A call is under way, which was begun before the entry was deleted: a new one is kept from other instances. */
  | { readonly role: 'apart' }

/** What an instance says of the call that it would begin. */
export interface Beginning {
  /** The id of an entry that is of no use; empty for none. */
  readonly unlessId: string
  /** Captured before the call. */
  readonly versions: readonly Version[]
  readonly model: string
}

/** A follower looks at once when a message arrives; otherwise as often as this. */
const lookEveryMs = 250

/** Which instance calls the provider, and how the others hear of it. */
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

  /** One round trip, none where calls are not shared between instances. */
  async begin(entryKey: EntryKey, beginning: Beginning): Promise<FlightRole> {
    // Without Redis there is no other instance, and the callers of this one share a call already.
    if (this.#options.singleFlight !== 'shared' || this.#options.redis === undefined) {
      return { role: 'lead', lease: this.alone(entryKey) }
    }
    const generation = randomUUID()
    // Not waited for: without it followers are noticed with the next renewal.
    this.#inbox ??= this.#listen()
    const { leaseMs } = this.#options
    const options = { generation, owner: this.#owner, leaseMs, ...beginning }
    const wasShared = this.#tiers.state === 'primary'
    const { value: role, source } = await this.#tiers.run(({ flights }) => flights.begin(entryKey, options))
    // Redis may have given the lease and lost the reply: other instances would wait for this one until it ends.
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
   * What a leader publishes, from its beginning to `end` or `failed`. Ends without either when the leader is
   * lost: its lease has ended.
   */
  async *follow(entryKey: EntryKey, generation: string, signal?: AbortSignal): AsyncGenerator<LogRecord> {
    let wake = ignore
    const { value: unwatch } = await this.#tiers.run(({ flights }) => flights.watch(entryKey, () => wake()))
    let cursor = '0'
    let heardAt = performance.now()
    // A leader that is silent for longer than it waits for its provider is no leader any more.
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

  /** A Redis user without the channel can't hear of followers: they get what is kept in the end, not its pieces. */
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
 * (calls are not shared, or it was lost) everything goes on, for the callers of this process alone.
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

  /** Fences it; nothing where other instances can't join the call. */
  get generation(): string | undefined {
    return this.#lease?.generation
  }

  /** Calls back as soon as another instance waits for the answer; at once where one does. */
  onceFollowed(onFollowed: () => void): void {
    if (this.#followed) return onFollowed()
    this.#onFollowed = onFollowed
  }

  noteFollower(): void {
    if (this.#followed || this.#lease === undefined) return
    this.#followed = true
    this.#onFollowed()
  }

  /** Adds to the log that followers read, in the order of the calls. Says whether the lease was still held. */
  publish(records: readonly LogRecord[]): Promise<boolean> {
    const appended = this.#appending.then(() => this.#append(records))
    this.#appending = appended
    return appended
  }

  /**
   * Ends the flight. `publish`: the followers have no other way to the answer, so publish it and commit again.
   * Never rejects.
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
      // Begun on one side of an outage and ended on the other: there was no lease to lose.
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

  /** No caller waits for the call any more: another instance may lead. The answer is kept all the same, if it comes. */
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

  /** An outage began or ended during the call: what still holds its lease makes others follow a call that is over. */
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
      // Another one leads by now, or Redis forgot: what is here is for this process's own callers alone.
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
