import { randomUUID } from 'node:crypto'
import { type Answer, type Failover, type FailoverState, failover, type Source } from '@evenkeel/core'
import { LimiterClosedError } from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import { Instances } from '../outage/instances.js'
import { Recovery } from '../outage/recovery.js'
import type { Share } from '../outage/share.js'
import { MemoryLimitStore } from '../stores/memory.js'
import type {
  Change,
  Decision,
  DecisionOptions,
  HeldSlot,
  LimitCost,
  LimitKey,
  LimitStore,
  ProviderReading,
  Settlement,
} from '../stores/port.js'
import { RedisLimitStore } from '../stores/redis.js'
import { LeaseRefill } from './lease-refill.js'
import { Mirror } from './mirror.js'
import type { PendingDecision } from './pending-decision.js'
import { leaseOf, type ReturnedUnits } from './quota-leases.js'
import { RecentDenials } from './recent-denials.js'
import { StoreCalls } from './store-calls.js'
import { DecisionTicks } from './tick.js'

/** Within this time after Redis' return, all instances use it again and have sent it their charges of the outage. */
const returnMs = 1_500

/** A decision, the store that made it, and what is needed to settle it. */
export interface SourcedDecision extends Answer<Decision> {
  /** The time as of which this process's memory has charged it. */
  readonly mirroredAtMs: number
}

const alone: Share = { instances: 1 }

/**
 * Decides calls from the first source that can: recent denials, leased quota, Redis, or memory while Redis is away.
 * What Redis admits is mirrored in memory; what memory admits alone is charged in Redis when it is back.
 */
export class Decider {
  readonly #options: ResolvedOptions
  readonly #memory: MemoryLimitStore
  readonly #mirror: Mirror
  readonly #stores: Failover<LimitStore>
  readonly #calls: StoreCalls
  readonly #ticks: DecisionTicks
  readonly #denials: RecentDenials
  readonly #leases: LeaseRefill | undefined
  readonly #instances: Instances | undefined
  readonly #recovery: Recovery | undefined
  /** Monotonic. */
  #returningUntil = 0
  readonly #stopListening: () => void
  #isClosed = false

  /** @param heldSlots returns the slots that this process holds and renews */
  constructor(options: ResolvedOptions, heldSlots: () => readonly HeldSlot[]) {
    const { redis, name, onOutage, limits, maxSubjects, clock, denialMemoryMs } = options
    const hasLeases = redis !== undefined && limits.some((limit) => leaseOf(limit) !== undefined)
    this.#options = options
    this.#denials = new RecentDenials(redis === undefined ? 0 : denialMemoryMs, maxSubjects)
    this.#leases = hasLeases ? this.#createLeases() : undefined
    this.#memory = new MemoryLimitStore({
      maxSubjects,
      share: () => this.#instances?.share ?? alone,
      clock,
      // Slots are not charges: those that are still held are renewed when Redis returns.
      onCharge: (limitKey, charge) => {
        if (limitKey.limit.kind !== 'concurrency') this.#recovery?.charges.add(limitKey, charge)
      },
    })
    this.#mirror = new Mirror(this.#memory, clock)
    if (redis !== undefined) {
      this.#instances = new Instances(redis, {
        name,
        limits: options.limitList,
        expected: options.expectedInstances,
        onLoss: () => {
          this.#denials.clear()
          this.#recovery?.chargeAgain()
        },
      })
      this.#recovery = new Recovery(maxSubjects, {
        memory: this.#memory,
        instances: this.#instances,
        heldSlots,
        settle: (settlement) => this.#calls.settle(settlement),
        adopt: (slots) => this.#stores.run((store) => store.renew(slots, true)),
      })
    }
    this.#stopListening =
      redis?.on('up', () => {
        this.#returningUntil = clock.monotonic() + returnMs
        this.#instances?.returned()
      }) ?? (() => {})
    const offlineCharges = this.#recovery?.charges
    const instance = randomUUID()
    this.#stores = failover<LimitStore>(redis, {
      name: 'rate-limiter',
      durability: 'transient',
      primary: redis && new RedisLimitStore(redis, { name, offlineCharges, instance }),
      fallback: this.#memory,
      recover: (stores) => this.#recovery?.recover(stores) ?? Promise.resolve(),
      onOutage: onOutage === 'fallback' ? 'fallback' : 'throw',
      held: () => ({ entries: this.#memory.size, bytes: 0 }),
    })
    this.#calls = new StoreCalls(options, {
      stores: this.#stores,
      memory: this.#memory,
      recovery: this.#recovery,
    })
    this.#ticks = new DecisionTicks(
      {
        send: (requests) => this.#calls.decide(requests),
        answered: (pending, answer) => this.#answered(pending, answer),
      },
      () => redis?.topology === 'cluster',
    )
  }

  get state(): FailoverState {
    return this.#stores.state
  }

  /** Number of instances that share the limits, as last seen. */
  get instances(): number {
    return this.#instances?.share.instances ?? 1
  }

  decide(limitCosts: readonly LimitCost[], options?: DecisionOptions): Promise<SourcedDecision> {
    return new Promise((resolve, failed) => {
      const done: PendingDecision['done'] = (value, source, mirroredAtMs) =>
        resolve({ value, source, mirroredAtMs })
      this.ask({ limitCosts, options, done, failed })
    })
  }

  /** {@link decide} with callbacks instead of a promise, for callers on a hot path. */
  ask(pending: PendingDecision): void {
    const { limitCosts, options } = pending
    if (this.#isClosed) {
      pending.failed(new LimiterClosedError(this.#options.name))
      return
    }
    if (this.#options.redis === undefined) {
      const value = this.#memory.decideNow(limitCosts, options)
      pending.done(value, 'memory', value.results[0]?.chargedAtMs ?? 0)
      return
    }
    this.#instances?.start()
    if (isPlain(options)) {
      if (this.#decideHere(pending)) return
      if (options === undefined && this.#leases?.covers(limitCosts)) {
        this.#leases.ask(pending, () => {
          if (!this.#decideHere(pending)) this.#ticks.of(limitCosts).add(pending)
        })
        return
      }
    }
    if (this.#isReturning() && !this.#chargeShare(pending)) return
    this.#ticks.of(limitCosts).add(pending)
  }

  /** Settles in the store that charged. If Redis can't be reached now, it learns of it on its return. */
  async settle(settlement: Settlement, source: Source, mirroredAtMs: number): Promise<boolean> {
    const { id, changes } = settlement
    this.#ticks.flush()
    this.#denials.forget(changes)
    if (source === 'memory') {
      this.#refundOffline(changes)
      return this.#memory.settle(settlement)
    }
    this.#mirror.adjust(changes, mirroredAtMs, id)
    return this.#calls.settle(settlement)
  }

  /**
   * Refunds a charge that can't be settled: a booking whose caller has given up. Sent once; if it does not reach Redis,
   * the charge stays until its time.
   */
  async giveBack(changes: readonly Change[], source: Source, mirroredAtMs: number): Promise<void> {
    this.#ticks.flush()
    this.#denials.forget(changes)
    if (source === 'memory') {
      this.#refundOffline(changes)
      return this.#memory.giveBack(changes)
    }
    this.#mirror.adjust(changes, mirroredAtMs)
    await this.#calls.giveBack(changes)
  }

  async renew(slots: readonly HeldSlot[]): Promise<readonly boolean[]> {
    const { value, source } = await this.#stores.run((store) => store.renew(slots))
    // Memory must know the slots when Redis goes away.
    if (source === 'redis')
      await this.#memory.renew(
        slots.filter((_, index) => value[index]),
        true,
      )
    return value
  }

  async learn(readings: readonly ProviderReading[]): Promise<void> {
    this.#denials.forget(readings)
    if (this.#options.redis !== undefined) await this.#memory.learn(readings)
    await this.#stores.run((store) => store.learn(readings))
  }

  async block(limitKeys: readonly LimitKey[], forMs: number): Promise<void> {
    this.#ticks.flush()
    this.#denials.forget(limitKeys)
    await this.#leases?.giveBackAll()
    // In both stores: a block must hold when Redis goes away.
    if (this.#options.redis !== undefined) await this.#memory.block(limitKeys, forMs)
    await this.#stores.run((store) => store.block(limitKeys, forMs))
  }

  async reset(limitKeys: readonly LimitKey[]): Promise<void> {
    this.#ticks.flush()
    this.#denials.forget(limitKeys)
    this.#recovery?.charges.forget(limitKeys)
    if (this.#options.redis !== undefined) await this.#memory.reset(limitKeys)
    await this.#stores.run((store) => store.reset(limitKeys))
  }

  /** Calls back when the turn of a waiting call of this process may have come. */
  watch(turn: (id: string) => void): () => void {
    const stops = [this.#memory.watch(turn)]
    let isStopped = false
    void this.#stores
      .run(async (store) => {
        if (store !== this.#memory && !isStopped) stops.push(store.watch(turn))
      })
      .catch(() => {})
    return () => {
      isStopped = true
      for (const stop of stops) stop()
    }
  }

  /** Ends decisions; charges can still be settled. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#ticks.flush()
    this.#isClosed = true
    this.#stopListening()
    await Promise.all([this.#leases?.close(), this.#instances?.close(), this.#recovery?.close()])
    this.#stores.close()
  }

  /** Decides from leased quota, or from a recent denial. */
  #decideHere({ limitCosts, options, done }: PendingDecision): boolean {
    const spent = options === undefined ? this.#leases?.spend(limitCosts) : undefined
    const decision = spent ?? this.#recentDenial(limitCosts, options?.perMille)
    if (decision === undefined) return false
    done(decision, 'redis', 0)
    return true
  }

  #recentDenial(limitCosts: readonly LimitCost[], perMille = 1_000): Decision | undefined {
    if (this.#denials.size === 0 || this.#stores.state !== 'primary') return undefined
    return this.#denials.recall(limitCosts, perMille, this.#options.clock.monotonic())
  }

  #isReturning(): boolean {
    return this.#returningUntil > 0 && this.#options.clock.monotonic() < this.#returningUntil
  }

  /**
   * Just after an outage, other instances may still decide alone, and Redis does not know what they charge. So an
   * instance that already uses Redis again still keeps to its share as well. `false` if the share denies.
   */
  #chargeShare(pending: PendingDecision): boolean {
    const { options, done } = pending
    if (this.#options.onOutage !== 'fallback' || this.#stores.state !== 'primary') return true
    if (options?.mode === 'peek' || options?.mode === 'book') return true
    const denial = this.#mirror.chargeAhead(pending)
    if (denial === undefined) return true
    done(denial, 'memory', 0)
    return false
  }

  #createLeases(): LeaseRefill {
    const { limits, maxSubjects, clock } = this.#options
    return new LeaseRefill(limits, maxSubjects, {
      clock,
      instances: () => this.instances,
      isUsable: () => this.#stores.state === 'primary' && !this.#isReturning(),
      send: (pending) => this.#ticks.of(pending.limitCosts).add(pending),
      mirror: (block, delayMs) => this.#memory.mirror([block], clock.now(), delayMs),
      giveBack: (units) => this.#giveBackUnits(units),
    })
  }

  /** Mirrors what Redis decided, and passes it on. */
  #answered(pending: readonly PendingDecision[], { value, source }: Answer<readonly Decision[]>): void {
    const { clock } = this.#options
    const now = clock.now()
    const monotonic = clock.monotonic()
    const taking = { source, now, hasAllCharges: !this.#isReturning() }
    for (let index = 0; index < pending.length; index++) {
      const one = pending[index]
      const decision = value[index]
      if (one === undefined || decision === undefined) continue
      const { limitCosts, options } = one
      if (source === 'redis' && options?.mode !== 'peek' && decision.outcome === 'denied')
        this.#denials.remember(limitCosts, options?.perMille ?? 1_000, decision, monotonic)
      one.done(decision, source, this.#mirror.take(one, decision, taking))
    }
  }

  /** Drops charges that were refunded before they were sent to Redis. */
  #refundOffline(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.change < 0 && change.limit.kind !== 'concurrency')
        this.#recovery?.charges.refund(change, -change.change)
    }
  }

  async #giveBackUnits(returned: readonly ReturnedUnits[]): Promise<void> {
    if (returned.length === 0) return
    for (const { change, mirroredAtMs } of returned) this.#mirror.adjust([change], mirroredAtMs)
    await this.#calls.giveBack(returned.map(({ change }) => change))
  }
}

/** Whether the decision only charges: it peeks, books, reserves and leases nothing. */
function isPlain(options: DecisionOptions | undefined): boolean {
  return (
    options === undefined ||
    (options.mode === undefined && options.id === undefined && options.leaseRequests === undefined)
  )
}
