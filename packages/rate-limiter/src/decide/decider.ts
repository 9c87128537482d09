import { randomUUID } from 'node:crypto'
import {
  type Answer,
  type Failover,
  failover,
  type RecoverContext,
  type Source,
  UnavailableError,
} from '@evenkeel/core'
import type { ResolvedOptions } from '../options.js'
import { Instances } from '../outage/instances.js'
import { OfflineCharges } from '../outage/offline-charges.js'
import type { Share } from '../outage/share.js'
import { MemoryLimitStore } from '../stores/memory.js'
import type {
  Decision,
  DecisionOptions,
  DecisionRequest,
  HeldSlot,
  LimitCost,
  LimitKey,
  LimitStore,
  ProviderReading,
  Settlement,
} from '../stores/port.js'
import { RedisLimitStore } from '../stores/redis.js'
import { leaseOf, QuotaLeases, type ReturnedUnits } from './quota-leases.js'
import { RecentDenials } from './recent-denials.js'
import { blanket } from './result.js'
import { type PendingDecision, TickBatcher, type TickHost } from './turn.js'

const maxUnsettled = 10_000
/** Within this time of Redis' return all instances use it again, and have told it what they charged alone. */
const returnMs = 1_500
const limitKeysAtOnce = 100

/** A decision, who made it, and what settling it needs. */
export interface SourcedDecision extends Answer<Decision> {
  /** As of when this process took note of it. */
  readonly notedAtMs: number
}

/**
 * Where a decision comes from: what was denied a moment ago, quota taken in advance, Redis, or memory while
 * Redis is away. Everything that Redis admits is noted in memory too, and what memory admits alone is
 * charged in Redis on its return.
 */
export class Decider {
  readonly #options: ResolvedOptions
  readonly #memory: MemoryLimitStore
  readonly #stores: Failover<LimitStore>
  readonly #host: TickHost = {
    send: (asked) => this.#send(asked),
    answered: (asked, decisions, source) => this.#answered(asked, decisions, source),
  }
  readonly #turn = new TickBatcher(this.#host)
  readonly #turns = new Map<string, TickBatcher>()
  readonly #denials: RecentDenials
  readonly #leases: QuotaLeases | undefined
  readonly #offlineCharges: OfflineCharges | undefined
  readonly #instances: Instances | undefined
  /** Monotonic. */
  #returningUntil = 0
  readonly #stop: () => void
  /** Settlements that could not reach Redis. */
  readonly #unsettled: Settlement[] = []
  #sweep: NodeJS.Timeout | undefined
  readonly #heldSlots: () => readonly HeldSlot[]

  constructor(options: ResolvedOptions, heldSlots: () => readonly HeldSlot[]) {
    const { redis, name, onOutage, limits, maxSubjects, clock, denialMemoryMs } = options
    const id = randomUUID()
    const alone: Share = { instances: 1 }
    const hasLeases = redis !== undefined && limits.some((limit) => leaseOf(limit) !== undefined)
    this.#options = options
    this.#heldSlots = heldSlots
    this.#denials = new RecentDenials(redis === undefined ? 0 : denialMemoryMs, maxSubjects)
    this.#leases = hasLeases ? new QuotaLeases(maxSubjects) : undefined
    this.#offlineCharges = redis && new OfflineCharges(maxSubjects)
    this.#instances =
      redis &&
      new Instances(redis, {
        name,
        id,
        expected: options.expectedInstances,
        onLoss: () => this.#chargeAgain(),
      })
    this.#stop =
      redis?.on('up', () => {
        this.#returningUntil = clock.monotonic() + returnMs
        this.#instances?.returned()
      }) ?? (() => {})
    this.#memory = new MemoryLimitStore({
      maxSubjects,
      share: () => this.#instances?.share ?? alone,
      clock,
      // Slots are no charges: those that are held are told on return.
      onCharge: (limitKey, charge) => {
        if (limitKey.limit.kind !== 'concurrency') this.#offlineCharges?.add(limitKey, charge)
      },
    })
    this.#stores = failover<LimitStore>(redis, {
      name: 'rate-limiter',
      primary:
        redis && new RedisLimitStore(redis, { name, offlineCharges: this.#offlineCharges, instance: id }),
      fallback: this.#memory,
      recover: (stores) => this.#recover(stores),
      onOutage: onOutage === 'fallback' ? 'fallback' : 'throw',
      held: () => ({ entries: this.#memory.size, bytes: 0 }),
    })
  }

  get state(): Failover<LimitStore>['state'] {
    return this.#stores.state
  }

  /** Instances that share the limits, as last seen. */
  get instances(): number {
    return this.#options.redis === undefined ? 1 : (this.#instances?.share.instances ?? 1)
  }

  decide(limitCosts: readonly LimitCost[], options?: DecisionOptions): Promise<SourcedDecision> {
    return new Promise((resolve, reject) => {
      const done: PendingDecision['done'] = (value, source, notedAtMs) =>
        resolve({ value, source, notedAtMs })
      this.ask({ limitCosts, options, done, failed: reject })
    })
  }

  /** {@link decide} without a promise, for those who are called a million times a second. */
  ask(asked: PendingDecision): void {
    if (this.#options.redis === undefined) {
      const value = this.#memory.decideNow(asked.limitCosts, asked.options)
      asked.done(value, 'memory', value.results[0]?.chargedAtMs ?? 0)
      return
    }
    this.#instances?.start()
    if (asked.options === undefined) {
      if (this.#spend(asked) || this.#deny(asked)) return
      if (
        this.#leases?.covers(asked.limitCosts) &&
        this.#stores.state === 'primary' &&
        !this.#isReturning()
      ) {
        this.#askForBlock(this.#leases, asked)
        return
      }
    }
    if (this.#isReturning() && !this.#chargeShare(asked)) return
    this.#turnOf(asked.limitCosts).add(asked)
  }

  /** From quota that was taken in advance. */
  #spend({ limitCosts, done }: PendingDecision): boolean {
    const leases = this.#leases
    if (leases === undefined) return false
    const decision = leases.spend(limitCosts, this.#options.clock.monotonic())
    if (decision === undefined) return false
    if (leases.isLow(limitCosts) && this.#stores.state === 'primary' && !this.#isReturning()) {
      // A cost of nothing: only the lease request matters.
      this.#request(leases, {
        limitCosts: limitCosts.map((limitCost) => ({ ...limitCost, cost: 0 })),
        done: () => {},
        failed: () => {},
      })
    }
    done(decision, 'redis', 0)
    return true
  }

  #isReturning(): boolean {
    return this.#returningUntil > 0 && this.#options.clock.monotonic() < this.#returningUntil
  }

  /**
   * Just after an outage some instances still decide alone, and Redis does not know of what they charge: who is
   * back already keeps to its share too. `false` where the share denies.
   */
  #chargeShare(asked: PendingDecision): boolean {
    const { limitCosts, options, done } = asked
    if (this.#options.onOutage !== 'fallback' || this.#stores.state !== 'primary') return true
    if (options?.mode === 'peek' || options?.mode === 'book') return true
    const decision = this.#memory.decideNow(limitCosts, { ...options, mode: 'peek' })
    if (decision.outcome !== 'allowed') {
      done(decision, 'memory', 0)
      return false
    }
    asked.notedAtMs = this.#memory.mirror(limitCosts, this.#options.clock.now(), 0, options?.id)
    return true
  }

  /** What Redis denied a moment ago. */
  #deny({ limitCosts, done }: PendingDecision): boolean {
    if (this.#denials.size === 0 || this.#stores.state !== 'primary') return false
    const decision = this.#denials.recall(limitCosts, this.#options.clock.monotonic())
    if (decision === undefined) return false
    done(decision, 'redis', 0)
    return true
  }

  /** Asks for a block together with the decision; who comes meanwhile waits for it. */
  #askForBlock(leases: QuotaLeases, asked: PendingDecision): void {
    const asking = leases.asking(asked.limitCosts)
    if (asking === undefined) {
      this.#request(leases, asked)
      return
    }
    void asking.then(() => {
      if (this.#spend(asked) || this.#deny(asked)) return
      this.#turnOf(asked.limitCosts).add(asked)
    })
  }

  #request(leases: QuotaLeases, { limitCosts, done, failed }: PendingDecision): void {
    const sentAtMs = this.#options.clock.monotonic()
    const leaseRequests = leases.leaseRequests(limitCosts, this.instances, sentAtMs)
    const asking = new Promise<void>((resolve) => {
      const granted = (decision: Decision | undefined) => {
        const note = (block: LimitCost, delayMs: number) =>
          this.#memory.mirror([block], this.#options.clock.now(), delayMs)
        void this.#giveBack(leases.granted(limitCosts, decision, sentAtMs, note))
        resolve()
      }
      this.#turnOf(limitCosts).add({
        limitCosts,
        options: { leaseRequests },
        done: (decision, source, notedAtMs) => {
          granted(source === 'redis' ? decision : undefined)
          done(decision, source, notedAtMs)
        },
        failed: (error) => {
          granted(undefined)
          failed(error)
        },
      })
    })
    leases.asked(limitCosts, asking, sentAtMs)
    this.#sweepLater()
  }

  /** Takes note of what Redis said, and passes it on. */
  #answered(asked: readonly PendingDecision[], decisions: readonly Decision[], source: Source): void {
    const { clock } = this.#options
    const now = clock.now()
    const monotonic = clock.monotonic()
    const isReturning = this.#isReturning()
    for (let index = 0; index < asked.length; index++) {
      const one = asked[index]
      const decision = decisions[index]
      if (one === undefined || decision === undefined) continue
      const { limitCosts, options } = one
      let notedAtMs = one.notedAtMs ?? decision.results[0]?.chargedAtMs ?? 0
      if (one.notedAtMs !== undefined && (source === 'memory' || decision.outcome !== 'allowed'))
        this.#unnote(limitCosts, one.notedAtMs, options?.id)
      if (source === 'redis' && options?.mode !== 'peek') {
        if (decision.outcome === 'denied') this.#denials.remember(limitCosts, decision, monotonic)
        else if (decision.outcome !== 'queued' && one.notedAtMs === undefined)
          notedAtMs = this.#memory.mirror(limitCosts, now, decision.delayMs, options?.id)
        // Just after an outage Redis has not heard of all yet.
        if (!isReturning) this.#memory.observeRemote(limitCosts, decision.results, now)
      }
      one.done(decision, source, notedAtMs)
    }
  }

  #unnote(limitCosts: readonly LimitCost[], notedAtMs: number, id = ''): void {
    const changes = limitCosts.map((limitCost) => ({
      ...limitCost,
      change: -limitCost.cost,
      chargedAtMs: notedAtMs,
    }))
    this.#memory.adjust(changes, id)
  }

  /** In a Cluster only what shares a node can travel together. */
  #turnOf(limitCosts: readonly LimitCost[]): TickBatcher {
    if (this.#options.redis?.topology !== 'cluster') return this.#turn
    const subject = limitCosts[0]?.subject ?? ''
    let turn = this.#turns.get(subject)
    if (turn === undefined) {
      turn = new TickBatcher({
        ...this.#host,
        send: (asked) => {
          this.#turns.delete(subject)
          return this.#send(asked)
        },
      })
      this.#turns.set(subject, turn)
    }
    return turn
  }

  async #send(requests: readonly DecisionRequest[]): Promise<Answer<readonly Decision[]>> {
    const { onOutage, clock } = this.#options
    try {
      return await this.#stores.run((store) => store.decide(requests))
    } catch (error) {
      if (!UnavailableError.isInstance(error) || (onOutage !== 'allow' && onOutage !== 'deny')) throw error
      const value = requests.map(({ limitCosts }) => blanket(limitCosts, onOutage === 'allow', clock.now()))
      return { value, source: 'memory' }
    }
  }

  /** Settles where it was charged; what can't reach Redis now is settled on its return. */
  async settle(
    settlement: Settlement,
    source: Answer<unknown>['source'],
    notedAtMs: number,
  ): Promise<boolean> {
    const { id, changes } = settlement
    this.#flush()
    this.#denials.forget(changes)
    if (source === 'memory') {
      for (const change of changes) {
        if (change.change < 0 && change.limit.kind !== 'concurrency')
          this.#offlineCharges?.refund(change, -change.change)
      }
      return this.#memory.settle(settlement)
    }
    this.#memory.adjust(
      changes.map((change) => ({ ...change, chargedAtMs: notedAtMs })),
      id,
    )
    try {
      const { value, source: by } = await this.#stores.run((store) =>
        store === this.#memory ? Promise.resolve(true) : store.settle(settlement),
      )
      if (by === 'memory') this.#keepUnsettled(settlement)
      return value
    } catch (error) {
      if (!UnavailableError.isInstance(error)) throw error
      this.#keepUnsettled(settlement)
      return true
    }
  }

  async renew(slots: readonly HeldSlot[]): Promise<readonly boolean[]> {
    const { value, source } = await this.#stores.run((store) => store.renew(slots))
    // Memory must know them when Redis goes.
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
    this.#flush()
    this.#denials.forget(limitKeys)
    await this.#giveBack(this.#leases?.collect(this.#options.clock.monotonic(), true) ?? [])
    // In both: a block must hold when Redis goes.
    if (this.#options.redis !== undefined) await this.#memory.block(limitKeys, forMs)
    await this.#stores.run((store) => store.block(limitKeys, forMs))
  }

  async reset(limitKeys: readonly LimitKey[]): Promise<void> {
    this.#flush()
    this.#denials.forget(limitKeys)
    this.#offlineCharges?.forget(limitKeys)
    if (this.#options.redis !== undefined) await this.#memory.reset(limitKeys)
    await this.#stores.run((store) => store.reset(limitKeys))
  }

  /** Calls back when it may be the turn of a waiter of this process. */
  watch(turn: (id: string) => void): () => void {
    const stops = [this.#memory.watch(turn)]
    void this.#stores
      .run(async (store) => {
        if (store !== this.#memory) stops.push(store.watch(turn))
      })
      .catch(() => {})
    return () => {
      for (const stop of stops) stop()
    }
  }

  async close(): Promise<void> {
    this.#stop()
    clearInterval(this.#sweep)
    const left = this.#leases?.collect(this.#options.clock.monotonic(), true) ?? []
    await Promise.all([this.#giveBack(left), this.#instances?.close()])
    this.#stores.close()
  }

  /** Nothing may overtake what was asked before it. */
  #flush(): void {
    this.#turn.flush()
    for (const turn of this.#turns.values()) turn.flush()
  }

  async #giveBack(returned: readonly ReturnedUnits[]): Promise<void> {
    if (returned.length === 0) return
    this.#memory.adjust(
      returned.map(({ change, notedAtMs }) => ({ ...change, chargedAtMs: notedAtMs })),
      '',
    )
    if (this.#stores.state !== 'primary') return
    const changes = returned.map(({ change }) => change)
    await this.#stores
      .run((store) => (store === this.#memory ? Promise.resolve() : store.giveBack(changes)))
      .catch(() => {})
  }

  #sweepLater(): void {
    if (this.#sweep !== undefined) return
    const forMs = Math.min(
      ...this.#options.limits.map((limit) => leaseOf(limit)?.forMs ?? Number.POSITIVE_INFINITY),
    )
    this.#sweep = setInterval(
      () => {
        void this.#giveBack(this.#leases?.collect(this.#options.clock.monotonic()) ?? [])
        if (this.#leases?.size !== 0) return
        clearInterval(this.#sweep)
        this.#sweep = undefined
      },
      Math.max(5, forMs / 4),
    )
    this.#sweep.unref()
  }

  #keepUnsettled(settlement: Settlement): void {
    if (this.#unsettled.length >= maxUnsettled) this.#unsettled.shift()
    this.#unsettled.push(settlement)
  }

  /** Redis is back: it hears of slots, charges and settlements first. */
  async #recover({ primary, handOver }: RecoverContext<LimitStore>): Promise<void> {
    await this.#instances?.beat()
    const held = this.#heldSlots()
    if (held.length > 0) await primary.renew(held, true)
    while (this.#unsettled.length > 0) {
      const some = this.#unsettled.slice(0, 100)
      await Promise.all(some.map((settlement) => primary.settle(settlement)))
      this.#unsettled.splice(0, some.length)
    }
    await this.#tellCharges(primary)
    handOver()
  }

  /** Each call takes the charges of its limits along; what it costs nothing to ask is not asked. */
  async #tellCharges(primary: LimitStore): Promise<void> {
    const limitKeys = this.#offlineCharges?.limitKeys() ?? []
    for (let from = 0; from < limitKeys.length; from += limitKeysAtOnce) {
      const some = limitKeys.slice(from, from + limitKeysAtOnce)
      await primary.decide(
        some.map((limitKey) => ({ limitCosts: [{ ...limitKey, cost: 0 }], options: { mode: 'peek' } })),
      )
    }
  }

  /** Redis forgot: all that this instance charged and that still counts is charged again. */
  #chargeAgain(): void {
    this.#denials.clear()
    for (const [limitKey, charges] of this.#memory.charges()) {
      if (limitKey.limit.kind !== 'concurrency') this.#offlineCharges?.replace(limitKey, charges)
    }
    const held = this.#heldSlots()
    if (held.length > 0) void this.#stores.run((store) => store.renew(held, true)).catch(() => {})
  }
}
