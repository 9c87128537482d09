import { randomUUID } from 'node:crypto'
import { type Answer, type Failover, failover, type RecoverContext, UnavailableError } from '@evenkeel/core'
import type { Share } from './algorithms/share.js'
import { blanket } from './decision.js'
import { DenialMemory } from './local/denials.js'
import { leaseOf, QuotaLeases } from './local/quota-leases.js'
import type { ResolvedOptions } from './options.js'
import { Instances } from './outage/instances.js'
import { Ledger } from './outage/ledger.js'
import type { Cell, Change, Decision, Demand, Held, LimitStore, Reading, Settlement, Terms } from './store.js'
import { MemoryLimitStore } from './stores/memory.js'
import { RedisLimitStore } from './stores/redis.js'

const plain: Terms = {}
const mostUnsettled = 10_000

/** A decision, who made it, and what settling it needs. */
export interface Decided extends Answer<Decision> {
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
  readonly #denials: DenialMemory
  readonly #leases: QuotaLeases | undefined
  readonly #ledger: Ledger | undefined
  readonly #instances: Instances | undefined
  /** Settlements that could not reach Redis. */
  readonly #unsettled: Settlement[] = []
  #sweep: NodeJS.Timeout | undefined
  readonly #heldSlots: () => readonly Held[]

  constructor(options: ResolvedOptions, heldSlots: () => readonly Held[]) {
    const { redis, name, onOutage, limits, maxSubjects, clock, denialMemoryMs } = options
    const maxEntries = maxSubjects * limits.length
    const id = randomUUID()
    const alone: Share = { instances: 1 }
    const hasLeases = redis !== undefined && limits.some((limit) => leaseOf(limit) !== undefined)
    this.#options = options
    this.#heldSlots = heldSlots
    this.#denials = new DenialMemory(redis === undefined ? 0 : denialMemoryMs, maxEntries)
    this.#leases = hasLeases ? new QuotaLeases(maxEntries) : undefined
    this.#ledger = redis && new Ledger(maxEntries)
    this.#instances =
      redis &&
      new Instances(redis, {
        name,
        id,
        expected: options.expectedInstances,
        onLoss: () => this.#chargeAgain(),
      })
    this.#memory = new MemoryLimitStore({
      maxEntries,
      share: () => this.#instances?.share ?? alone,
      clock,
      // Slots are no charges: those that are held are told on return.
      onCharge: (cell, charge) => {
        if (cell.limit.kind !== 'concurrency') this.#ledger?.add(cell, charge)
      },
    })
    this.#stores = failover<LimitStore>(redis, {
      name: 'rate-limiter',
      primary: redis && new RedisLimitStore(redis, { name, ledger: this.#ledger, instance: id }),
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

  async decide(demands: readonly Demand[], terms: Terms = plain): Promise<Decided> {
    if (this.#options.redis === undefined) return this.#decideAlone(demands, terms)
    this.#instances?.start()
    const { clock } = this.#options
    const isPlain = terms === plain
    if (isPlain && this.#leases !== undefined && demands.every(({ limit }) => leaseOf(limit) !== undefined)) {
      const leased = this.#leases.spend(demands, clock.monotonic())
      if (leased !== undefined) {
        if (this.#leases.isLow(demands)) this.#askForMore(demands)
        return { value: leased, source: 'redis', notedAtMs: this.#memory.note(demands) }
      }
      return this.#decideLeased(this.#leases, demands)
    }
    return this.#decideStrictly(demands, terms)
  }

  /** Without Redis nothing needs to be noted or asked. */
  #decideAlone(demands: readonly Demand[], terms: Terms): Decided {
    const value = this.#memory.decideNow(demands, terms)
    return { value, source: 'memory', notedAtMs: value.verdicts[0]?.chargedAtMs ?? 0 }
  }

  async #decideStrictly(demands: readonly Demand[], terms: Terms): Promise<Decided> {
    const { clock } = this.#options
    if (terms.mode === undefined && this.#stores.state === 'primary') {
      const denied = this.#denials.recall(demands, clock.monotonic())
      if (denied !== undefined) return { value: denied, source: 'redis', notedAtMs: 0 }
    }
    const { value, source } = await this.#ask(demands, terms)
    let notedAtMs = value.verdicts[0]?.chargedAtMs ?? 0
    if (source === 'redis' && terms.mode !== 'peek') {
      const { outcome } = value
      if (outcome === 'denied') this.#denials.remember(demands, value, clock.monotonic())
      else if (outcome !== 'in-line') notedAtMs = this.#memory.note(demands, value.delayMs, terms.id)
    }
    return { value, source, notedAtMs }
  }

  /** Asks for a block together with the decision; who comes meanwhile waits for it. */
  async #decideLeased(leases: QuotaLeases, demands: readonly Demand[]): Promise<Decided> {
    const { clock } = this.#options
    await leases.asking(demands)
    const again = leases.spend(demands, clock.monotonic())
    if (again !== undefined) return { value: again, source: 'redis', notedAtMs: this.#memory.note(demands) }
    if (leases.asking(demands) !== undefined || this.#stores.state !== 'primary')
      return this.#decideStrictly(demands, plain)
    const denied = this.#denials.recall(demands, clock.monotonic())
    if (denied !== undefined) return { value: denied, source: 'redis', notedAtMs: 0 }
    return this.#request(leases, demands)
  }

  #askForMore(demands: readonly Demand[]): void {
    if (this.#leases === undefined || this.#stores.state !== 'primary') return
    // A cost of nothing: only the wish matters.
    const wishes = demands.map((demand) => ({ ...demand, cost: 0 }))
    this.#request(this.#leases, wishes).catch(() => {})
  }

  #request(leases: QuotaLeases, demands: readonly Demand[]): Promise<Decided> {
    const sentAtMs = this.#options.clock.monotonic()
    const wishes = leases.wishes(demands, this.instances, sentAtMs)
    const decided = this.#decideStrictly(demands, { wishes })
    const asking = decided.then(
      ({ value, source }) => leases.granted(demands, source === 'redis' ? value : undefined, sentAtMs),
      () => leases.granted(demands, undefined, sentAtMs),
    )
    leases.asked(
      demands,
      asking.then((replaced) => this.#giveBack(replaced)),
      sentAtMs,
    )
    this.#sweepLater()
    return decided
  }

  async #ask(demands: readonly Demand[], terms: Terms): Promise<Answer<Decision>> {
    const { onOutage, clock } = this.#options
    try {
      return await this.#stores.run((store) => store.decide(demands, terms))
    } catch (error) {
      if (!UnavailableError.isInstance(error) || (onOutage !== 'allow' && onOutage !== 'deny')) throw error
      return { value: blanket(demands, onOutage === 'allow', clock.now()), source: 'memory' }
    }
  }

  /** Settles where it was charged; what can't reach Redis now is settled on its return. */
  async settle(
    settlement: Settlement,
    source: Answer<unknown>['source'],
    notedAtMs: number,
  ): Promise<boolean> {
    const { id, changes } = settlement
    this.#denials.forget(changes)
    if (source === 'memory') {
      for (const change of changes) {
        if (change.change < 0 && change.limit.kind !== 'concurrency')
          this.#ledger?.refund(change, -change.change)
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

  async renew(slots: readonly Held[]): Promise<readonly boolean[]> {
    const { value, source } = await this.#stores.run((store) => store.renew(slots))
    // Memory must know them when Redis goes.
    if (source === 'redis')
      await this.#memory.renew(
        slots.filter((_, index) => value[index]),
        true,
      )
    return value
  }

  async learn(readings: readonly Reading[]): Promise<void> {
    this.#denials.forget(readings)
    if (this.#options.redis !== undefined) await this.#memory.learn(readings)
    await this.#stores.run((store) => store.learn(readings))
  }

  async block(cells: readonly Cell[], subject: string, forMs: number): Promise<void> {
    this.#denials.forget(cells)
    await this.#giveBack(this.#leases?.collect(this.#options.clock.monotonic(), true) ?? [])
    // In both: a block must hold when Redis goes.
    if (this.#options.redis !== undefined) await this.#memory.block(subject, forMs)
    await this.#stores.run((store) => store.block(subject, forMs))
  }

  async reset(cells: readonly Cell[]): Promise<void> {
    this.#denials.forget(cells)
    this.#ledger?.forget(cells)
    if (this.#options.redis !== undefined) await this.#memory.reset(cells)
    await this.#stores.run((store) => store.reset(cells))
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
    clearInterval(this.#sweep)
    const left = this.#leases?.collect(this.#options.clock.monotonic(), true) ?? []
    await Promise.all([this.#giveBack(left), this.#instances?.close()])
    this.#stores.close()
  }

  async #giveBack(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0 || this.#stores.state !== 'primary') return
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
    if (this.#unsettled.length >= mostUnsettled) this.#unsettled.shift()
    this.#unsettled.push(settlement)
  }

  /** Redis is back: it hears of slots and settlements now, and of charges with the next call of each subject. */
  async #recover({ primary, handOver }: RecoverContext<LimitStore>): Promise<void> {
    await this.#instances?.beat()
    const held = this.#heldSlots()
    if (held.length > 0) await primary.renew(held, true)
    while (this.#unsettled.length > 0) {
      const some = this.#unsettled.slice(0, 100)
      await Promise.all(some.map((settlement) => primary.settle(settlement)))
      this.#unsettled.splice(0, some.length)
    }
    handOver()
  }

  /** Redis forgot: all that this instance charged and that still counts is charged again. */
  #chargeAgain(): void {
    this.#denials.clear()
    for (const [cell, charges] of this.#memory.charges()) {
      if (cell.limit.kind !== 'concurrency') this.#ledger?.replace(cell, charges)
    }
    const held = this.#heldSlots()
    if (held.length > 0) void this.#stores.run((store) => store.renew(held, true)).catch(() => {})
  }
}
