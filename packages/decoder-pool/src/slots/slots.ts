import { randomUUID } from 'node:crypto'
import { type Answer, type Failover, failover, type Subscription } from '@evenkeel/core'
import { createLog, isTextList, parseJson, setImmediate } from '@evenkeel/core/kit'
import type { ResolvedOptions } from '../options.js'
import { Delays } from './delays.js'
import { add, SlotLedger } from './ledger.js'
import { OutageQuota } from './outage-quota.js'
import {
  type Coordinator,
  leaseMs,
  offerMs,
  type SlotCounts,
  type SlotRequest,
  type SlotStore,
} from './port.js'
import { RedisSlotStore } from './redis.js'
import { shareOf } from './share.js'
import { Watchers } from './watchers.js'

const log = createLog('decoder-pool')

const tickMs = 1_000
/** A released slot is reported after this time, if no request carries the report before. */
const tellMs = 5
/** Maximum number of requests in one batch. */
const maxTogether = 256
/** Maximum number of waiting requirements that are reported; further ones follow when these are served. */
const maxRequirements = 64

export interface SlotsHost {
  /** A waiting request may be served. */
  freed(): void
  /** How many requests all coordinators have on the node. */
  told(node: string, total: number): void
  /** Waiting requirements, with how long the oldest request of each has waited, in milliseconds. */
  waiting(): SlotCounts
}

interface Queued {
  readonly request: SlotRequest
  readonly settle: (index: number) => void
}

/** Used while Redis is away: nothing is known of other coordinators. */
const nobody: SlotStore = {
  heartbeat: async () => ({ known: false, live: [], totals: new Map(), hadLost: false }),
  take: async () => ({ known: false, given: [], totals: new Map(), othersWait: false }),
  leave: async () => {},
}

/**
 * The slots of this coordinator, and which coordinators are alive. One call is in flight at a time, and what comes
 * meanwhile is sent together next (group commit): so a count is true when it arrives, and the more requests there are,
 * the fewer round trips each costs.
 */
export class Slots {
  readonly me: Coordinator
  readonly #options: ResolvedOptions
  readonly #host: SlotsHost
  readonly #stores: Failover<SlotStore>
  readonly #limits: OutageQuota
  readonly #channel: string
  readonly #ledger = new SlotLedger()
  #waitingTold: SlotCounts = new Map()
  #live: readonly Coordinator[]
  #queue: Queued[] = []
  #sequence = 0
  /** The next call is a heartbeat, which reports all that is held and renews the lease. */
  #isHeartbeatDue = true
  #isSending = false
  /** Redis is away. */
  #isCut = false
  /** On the monotonic clock, counted from when the last heartbeat was sent. */
  #leaseEndsAt = Number.NEGATIVE_INFINITY
  #heartbeats = 0
  readonly #watchers = new Watchers()
  #subscription: Subscription | undefined
  readonly #delays = new Delays<'tick' | 'tell' | 'retry'>()
  #closed = false

  constructor(options: ResolvedOptions, host: SlotsHost) {
    const { redis, name, clock, region, longestRequestMs, outageSlots } = options
    this.me = { id: randomUUID(), region }
    this.#live = [this.me]
    this.#options = options
    this.#host = host
    this.#channel = `decoder-pool:${name}:slots`
    this.#limits = new OutageQuota(this.me.id, clock, longestRequestMs, outageSlots === 'hold')
    this.#stores = failover<SlotStore>(redis, {
      name: 'decoder-pool-slots',
      durability: 'transient',
      primary: redis && new RedisSlotStore(redis, name),
      fallback: nobody,
      // Sends a heartbeat at once, not with the next tick.
      recover: async () => void setImmediate(() => this.#heartbeatNow()),
    })
  }

  get id(): string {
    return this.me.id
  }

  /** The live coordinators, this one included; in an outage, those last known. */
  live(): readonly Coordinator[] {
    return this.#live
  }

  /** Whether so few slots were left that another coordinator may have taken them by now. */
  mayBeFull(node: string, capacity: number): boolean {
    const isAsking = !this.#countsAlone && !this.#limits.isWaiting
    return isAsking && capacity - this.totalOn(node) <= 2 * this.#live.length
  }

  /** Requests of all coordinators on a node, as far as this one has heard. */
  totalOn(node: string): number {
    return this.#ledger.totalOn(node)
  }

  /** Whether the node may have a free slot, if this coordinator has `underWay` requests on it. */
  hasRoom(node: string, capacity: number, underWay: number): boolean {
    const isLimited = this.#countsAlone || this.#limits.isWaiting
    if (isLimited && underWay >= this.#limitOf(node, capacity)) return false
    return this.#countsAlone || underWay + this.#ledger.othersOn(node) < capacity
  }

  /** Whether there may be room, although the last reports of others say no. */
  mayHaveRoom(node: string, capacity: number, underWay: number): boolean {
    if (this.#countsAlone) return false
    return underWay < (this.#limits.isWaiting ? this.#limitOf(node, capacity) : capacity)
  }

  async start(): Promise<void> {
    const { redis } = this.#options
    if (redis === undefined) return
    this.#subscription = await redis.subscribe(this.#channel, (message) => this.#heard(message), {
      onGap: () => this.#host.freed(),
    })
    await this.#send()
    this.#tick()
  }

  /** The index of the candidate that was given, `-1` for none. One round trip, shared by requests that come at once. */
  take(request: SlotRequest): Promise<number> {
    if (this.#countsAlone) return Promise.resolve(this.#takeAlone(request))
    return new Promise((settle) => {
      this.#queue.push({ request, settle })
      // Other requests of this turn of the event loop go with it.
      if (this.#queue.length === 1) setImmediate(() => void this.#send())
    })
  }

  release(node: string): void {
    this.#ledger.hold(node, -1)
    this.#watchers.look()
    const { redis, slots } = this.#options
    // No request depends on it, so the next heartbeat reports it.
    if (redis === undefined || slots === 'local') return
    this.#ledger.isUntold(node)
    this.#delays.later('tell', tellMs, () => this.#send())
  }

  /** A caller waits, or waits no more. Others must know for which requests to keep the slots that they release. */
  waitingChanged(): void {
    if (!this.#countsAlone) this.#delays.later('tell', tellMs, () => this.#send())
  }

  /**
   * Resolves when no coordinator has a request on a node that gets no new ones, or the time is up. Others may not know
   * yet that it gets none, so their counts are trusted only after two more heartbeats.
   * @throws the signal's reason
   */
  async whenIdle(node: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const since = this.#heartbeats + (this.#options.redis === undefined ? 0 : 2)
    const isIdle = () =>
      this.#closed || (this.totalOn(node) === 0 && (this.#heartbeats >= since || this.#isCut))
    await this.#watchers.until(isIdle, timeoutMs, signal)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#delays.close()
    for (const { settle } of this.#queue.splice(0)) settle(-1)
    this.#watchers.look()
    await this.#subscription?.close()
    // Requests that still run are counted for one more lease.
    const { held } = this.#ledger
    if (held.size > 0) await this.#ask((store) => store.heartbeat(this.me, ++this.#sequence, held, leaseMs))
    else await this.#ask((store) => store.leave(this.me))
    this.#stores.close()
  }

  /** Without Redis, with `slots: 'local'` and while Redis is away, no store is asked for slots. */
  get #countsAlone(): boolean {
    const { redis, slots } = this.#options
    return redis === undefined || slots === 'local' || this.#isCut
  }

  #limitOf(node: string, capacity: number): number {
    const { redis, slots } = this.#options
    const isShared = redis !== undefined && slots === 'local'
    return isShared ? shareOf({ node, capacity }, this.id, this.#live) : this.#limits.of(node, capacity)
  }

  #takeAlone({ candidates }: SlotRequest): number {
    const index = candidates.findIndex(
      ({ node, capacity }) => this.#ledger.heldOn(node) < this.#limitOf(node, capacity),
    )
    const node = candidates[index]?.node
    if (node !== undefined) this.#ledger.hold(node, 1)
    return index
  }

  async #send(): Promise<void> {
    if (this.#isSending) return
    this.#isSending = true
    try {
      while (!this.#closed && (this.#isHeartbeatDue || this.#hasNews())) {
        if (this.#isHeartbeatDue) await this.#heartbeat()
        else await this.#exchange()
        if (this.#isCut) break
      }
    } finally {
      this.#isSending = false
    }
  }

  #hasNews(): boolean {
    if (this.#queue.length > 0 || this.#ledger.hasUntold) return true
    const waiting = this.#waiting()
    return (
      waiting.size !== this.#waitingTold.size ||
      [...waiting.keys()].some((requirement) => !this.#waitingTold.has(requirement))
    )
  }

  #waiting(): SlotCounts {
    const waiting = this.#host.waiting()
    return waiting.size <= maxRequirements ? waiting : new Map([...waiting].slice(0, maxRequirements))
  }

  #heartbeatNow(): void {
    this.#isHeartbeatDue = true
    void this.#send()
  }

  #tick(): void {
    this.#delays.later('tick', tickMs * (0.9 + this.#options.random() * 0.2), async () => {
      this.#isHeartbeatDue = true
      await this.#send()
      this.#tick()
    })
  }

  /** While the lease lasts, others can't have been given what this coordinator holds. */
  get #hasLease(): boolean {
    return this.#options.clock.monotonic() < this.#leaseEndsAt
  }

  /** Reports all that is held, which also corrects reports that were lost. */
  async #heartbeat(): Promise<void> {
    this.#isHeartbeatDue = false
    const held = this.#ledger.takeAll()
    const sentAt = this.#options.clock.monotonic()
    const answer = await this.#ask((store) => store.heartbeat(this.me, ++this.#sequence, held, leaseMs))
    if (answer === undefined)
      return this.#cut(new Map([...this.#ledger.told.keys()].map((node) => [node, held.get(node) ?? 0])))
    const { known, live, totals, hadLost } = answer
    if (!known) {
      // The store has seen a later sequence and ignored this report, so another one is sent.
      this.#isHeartbeatDue = true
      return
    }
    // No other coordinator is left in a Redis that had forgotten this one too: the others may be alive. If it remembers
    // this one, the others have closed or died, and their slots are free.
    if (hadLost && live.length === 1 && this.#live.length > 1) this.#limit(this.#ledger.held)
    this.#leaseEndsAt = sentAt + leaseMs
    if (this.#isCut || !this.#limits.isWaiting) this.#limits.back(sentAt)
    this.#isCut = false
    this.#limits.hear(live)
    if (!this.#limits.isWaiting) this.#live = live
    this.#ledger.toldAll(held)
    for (const node of this.#ledger.othersNodes()) if (!totals.has(node)) this.#note(node, 0)
    for (const [node, total] of totals) this.#note(node, total)
    this.#heartbeats++
    this.#watchers.look()
    this.#host.freed()
  }

  async #exchange(): Promise<void> {
    this.#delays.cancel('tell')
    const batch = this.#queue.splice(0, maxTogether)
    const requests = batch.map(({ request }) => request)
    const held = this.#ledger.takeUntold()
    const waiting = this.#waiting()
    const answer = await this.#ask((store) =>
      store.take(this.me, { sequence: ++this.#sequence, held, requests, waiting }),
    )
    if (answer === undefined && this.#hasLease) {
      this.#queue.unshift(...batch)
      return this.#cut(held)
    }
    if (answer?.known !== true || !this.#hasLease) {
      // This coordinator was reaped while its process stood still, and others may have its slots by now; or Redis lost
      // its data. All that is held is reported first, then these requests are sent again.
      this.#limit(this.#ledger.held)
      this.#isHeartbeatDue = true
      this.#queue.unshift(...batch)
      return
    }
    const { given, totals, othersWait } = answer
    this.#waitingTold = waiting
    const freed = this.#ledger.toldOf(held)
    for (const [index, { request, settle }] of batch.entries()) {
      const choice = given[index] ?? -1
      const node = request.candidates[choice]?.node
      if (node !== undefined) {
        this.#ledger.given(node)
        add(freed, node, -1)
      }
      settle(choice)
    }
    for (const [node, total] of totals) this.#note(node, total)
    // A slot that was taken again in the same step was never free for others.
    const left = [...freed].filter(([, count]) => count > 0).map(([node]) => node)
    if (left.length > 0) this.#host.freed()
    if (!othersWait) return
    if (left.length > 0) void this.#hint(left)
    // Slots are kept for others only for a moment, so a later try may succeed.
    if (given.includes(-1)) this.#delays.later('retry', offerMs * 1.2, () => this.#host.freed())
  }

  /**
   * Redis is away. It may still execute what it was sent; what is held is reported when it is back. Until then it
   * counts what it was told as this coordinator's, even if those requests have ended meanwhile.
   */
  #cut(sent: SlotCounts): void {
    if (this.#options.redis !== undefined) {
      // Without a lease nothing is its own: the process stood still, and others may have its slots. A slot that it was
      // just releasing may have been given to others too: with `'hold'` it is no longer its own. Otherwise it is,
      // because two coordinators that were cut while each released its only slot would have none.
      const isStrict = this.#options.outageSlots === 'hold'
      const told = (this.#hasLease ? [...this.#ledger.told] : []).map(
        ([node, count]) => [node, isStrict ? Math.min(count, sent.get(node) ?? count) : count] as const,
      )
      this.#limit(new Map(told))
      this.#isCut = true
    }
    for (const { request, settle } of this.#queue.splice(0)) settle(this.#takeAlone(request))
    this.#watchers.look()
  }

  /** From here on this coordinator keeps to what was its own, until all the others have reported again. */
  #limit(own: SlotCounts): void {
    if (this.#isCut || this.#limits.isWaiting) return
    const totals = this.#ledger.totalsWith(own)
    const at = this.#options.clock.monotonic()
    this.#limits.begin({ live: this.#live, held: new Map(own), totals, at })
  }

  #note(node: string, total: number): void {
    this.#ledger.note(node, total)
    this.#host.told(node, this.totalOn(node))
  }

  /** Tells waiting coordinators of released slots. One that misses the message tries with its next tick. */
  async #hint(nodes: readonly string[]): Promise<void> {
    await this.#options.redis
      ?.publish(this.#channel, JSON.stringify([this.id, nodes]))
      .catch((error) => log('not published: %s', error))
  }

  #heard(message: string): void {
    const said = parseJson(message)
    const [by, nodes] = Array.isArray(said) ? said : []
    if (by === this.id || !isTextList(nodes)) return
    for (const node of nodes) this.#ledger.othersFreed(node)
    this.#host.freed()
  }

  /** Resolves with `undefined` if Redis is away. */
  async #ask<T>(operation: (store: SlotStore) => Promise<T>): Promise<T | undefined> {
    const answer: Answer<T> | undefined = await this.#stores.run(operation).catch((error: unknown) => {
      log('the slots could not be told: %s', error)
      return undefined
    })
    return answer?.source === 'redis' ? answer.value : undefined
  }
}
