import type { Clock } from '@evenkeel/core'
import { ByteBoundedLru, Emitter, systemClock } from '@evenkeel/core/kit'
import { SlotMeter } from '../algorithms/concurrency.js'
import { createMeter } from '../algorithms/create-meter.js'
import type { LimitResult } from '../algorithms/meter.js'
import { type Charge, type Meter, slackMs } from '../algorithms/meter.js'
import type { Limit } from '../limits.js'
import { partOf, type RemoteSnapshot, type Share, shareOf } from '../outage/share.js'
import { LimitMap } from './limit-map.js'
import type {
  Change,
  Decision,
  DecisionOptions,
  DecisionRequest,
  HeldSlot,
  LimitCost,
  LimitKey,
  LimitStore,
  ProviderReading,
  Settlement,
} from './port.js'

const alone: Share = { instances: 1 }
const noOptions: DecisionOptions = {}

export interface MemoryLimitStoreOptions {
  /** How many subjects the store keeps; above that, it evicts the least recently used. @default 10_000 */
  readonly maxSubjects?: number
  /** Called for each decision, because instances come and go. @default the whole of every limit */
  readonly share?: () => Share
  readonly clock?: Clock
  /** Called with each charge of a decision or settlement, which the other instances don't know of. */
  readonly onCharge?: ((limitKey: LimitKey, charge: Charge) => void) | undefined
}

interface Entry {
  readonly limitKey: LimitKey
  readonly meter: Meter
  /** What Redis reported last. */
  seen: RemoteSnapshot | undefined
}

/** Keeps limits in this process: the whole limits for one instance, or its share of them. No operation waits. */
export class MemoryLimitStore implements LimitStore {
  readonly #entries: LimitMap<Entry>
  readonly #blocks: LimitMap<number>
  readonly #open: ByteBoundedLru<number>
  readonly #turns = new Emitter<{ turn(id: string): void }>()
  readonly #share: () => Share
  readonly #shares = new WeakMap<Limit, { of: Share; limit: Limit }>()
  readonly #clock: Clock
  readonly #onCharge: MemoryLimitStoreOptions['onCharge']

  constructor({
    maxSubjects = 10_000,
    share = () => alone,
    clock = systemClock,
    onCharge,
  }: MemoryLimitStoreOptions = {}) {
    this.#entries = new LimitMap(maxSubjects)
    this.#blocks = new LimitMap(maxSubjects)
    this.#open = new ByteBoundedLru({ maxEntries: maxSubjects })
    this.#share = share
    this.#clock = clock
    this.#onCharge = onCharge
  }

  /** Number of subjects in the store. */
  get size(): number {
    return this.#entries.size
  }

  async decide(requests: readonly DecisionRequest[]): Promise<readonly Decision[]> {
    return requests.map(({ limitCosts, options }) => this.decideNow(limitCosts, options))
  }

  /** {@link decide} for one request, without a promise. */
  decideNow(limitCosts: readonly LimitCost[], options: DecisionOptions = noOptions): Decision {
    const only = limitCosts[0]
    if (options === noOptions && only !== undefined && limitCosts.length === 1 && this.#blocks.size === 0)
      return this.#decideOne(only)
    const { mode = 'charge', id = '', perMille = 1_000 } = options
    const now = Math.floor(this.#clock.now())
    const blockedForMs = this.#blockedFor(limitCosts, now)
    const evaluations = limitCosts.map((limitCost) => this.#judge(limitCost, now, id, perMille))
    const allowed = blockedForMs === 0 && evaluations.every(({ admitted }) => admitted)

    let outcome: Decision['outcome'] = allowed ? 'allowed' : 'denied'
    let at = now
    if (!allowed && mode === 'book' && blockedForMs === 0) {
      const missing = evaluations.filter(({ admitted, meter }) => !admitted && meter instanceof SlotMeter)
      if (missing.length > 0) {
        outcome = 'queued'
        for (const { meter, cost } of evaluations) if (meter instanceof SlotMeter && cost > 0) meter.join(id)
      } else {
        at = earliest(evaluations, now)
        if (at - now <= (options.maxDelayMs ?? 0)) outcome = 'booked'
      }
    }
    const admitted = outcome === 'allowed' || outcome === 'booked'
    const chargedAtMs = outcome === 'booked' ? at + slackMs : now
    let abandoned = 0
    if (admitted && mode !== 'peek') {
      for (const one of evaluations) {
        if (one.cost === 0) continue
        one.meter.charge(chargedAtMs, one.cost, id)
        if (outcome === 'booked') one.meter.book(at)
        this.#onCharge?.(one.limitCost, { atMs: chargedAtMs, cost: one.cost })
      }
      abandoned = this.#openReservation(openKey(limitCosts, id), now, options.openMs)
    }
    // A peek that would be admitted reports what would be left after the charge.
    const asIf = mode === 'peek' && outcome === 'allowed'
    return {
      outcome,
      blockedForMs,
      delayMs: outcome === 'booked' ? at - now : 0,
      abandoned,
      results: evaluations.map((one) => resultOf(one, now, chargedAtMs, admitted, asIf ? one.cost : 0)),
    }
  }

  async settle({ id, changes }: Settlement): Promise<boolean> {
    const now = Math.floor(this.#clock.now())
    const key = openKey(changes, id)
    const until = this.#open.get(key)
    const isOpen = until !== undefined && until > now
    this.#open.delete(key)
    for (const change of changes) {
      const { meter } = this.#createMeter(change, now)
      if (meter instanceof SlotMeter) {
        meter.refund(now, -change.change, id)
        for (const waiter of meter.next()) this.#turns.emit('turn', waiter)
      } else if (isOpen && change.change > 0) {
        meter.charge(now, change.change, id)
        this.#onCharge?.(change, { atMs: now, cost: change.change })
      } else if (isOpen && change.change < 0) meter.refund(change.chargedAtMs, -change.change, id)
    }
    return isOpen
  }

  async giveBack(changes: readonly Change[]): Promise<void> {
    const now = Math.floor(this.#clock.now())
    for (const change of changes)
      this.#createMeter(change, now).meter.refund(change.chargedAtMs, -change.change, '')
  }

  async renew(slots: readonly HeldSlot[], adopt = false): Promise<boolean[]> {
    const now = Math.floor(this.#clock.now())
    return slots.map((slot) => {
      const { meter } = this.#createMeter(slot, now)
      if (!(meter instanceof SlotMeter)) return false
      if (adopt) meter.adopt(slot.id, slot.cost)
      return meter.renew(slot.id)
    })
  }

  async learn(readings: readonly ProviderReading[]): Promise<void> {
    const now = Math.floor(this.#clock.now())
    for (const reading of readings)
      this.#createMeter(reading, now).meter.lower(reading.remaining, reading.resetMs)
  }

  async block(limitKeys: readonly LimitKey[], forMs: number): Promise<void> {
    for (const limitKey of limitKeys) {
      if (forMs === 0) this.#blocks.delete(limitKey)
      else this.#blocks.set(limitKey, Math.floor(this.#clock.now()) + forMs)
    }
  }

  async reset(limitKeys: readonly LimitKey[]): Promise<void> {
    for (const limitKey of limitKeys) {
      this.#entries.delete(limitKey)
      this.#blocks.delete(limitKey)
    }
  }

  watch(turn: (id: string) => void): () => void {
    return this.#turns.on('turn', turn)
  }

  /**
   * Charges what Redis admitted, so that this instance does not begin an outage with unused limits. Returns the time as
   * of which it is charged here.
   */
  mirror(limitCosts: readonly LimitCost[], nowMs: number, delayMs = 0, id = ''): number {
    const now = Math.floor(nowMs)
    const atMs = delayMs === 0 ? now : now + delayMs + slackMs
    for (const limitCost of limitCosts) {
      if (limitCost.cost === 0) continue
      const { meter } = this.#createMeter(limitCost, now)
      if (meter instanceof SlotMeter) meter.adopt(id, limitCost.cost)
      else meter.charge(atMs, limitCost.cost, id)
    }
    return atMs
  }

  /** Records what Redis says is left, from which the share of an outage is computed. */
  observeRemote(limitCosts: readonly LimitCost[], results: readonly LimitResult[], nowMs: number): void {
    const now = Math.floor(nowMs)
    for (let index = 0; index < limitCosts.length; index++) {
      const limitCost = limitCosts[index]
      const result = results[index]
      if (limitCost === undefined || result === undefined) continue
      const { meter, entry, limit } = this.#createMeter(limitCost, now)
      const used = limit.limit - meter.remaining(0, limit.limit)
      entry.seen = { used, remaining: result.remaining, atMs: now }
    }
  }

  /** Charges or refunds the changes of a call that {@link mirror} charged. */
  adjust(changes: readonly Change[], id: string): void {
    const now = Math.floor(this.#clock.now())
    for (const change of changes) {
      const { meter } = this.#createMeter(change, now)
      if (change.change > 0) meter.charge(now, change.change, id)
      else meter.refund(change.chargedAtMs, -change.change, id)
    }
  }

  /** All charges that count now, for a Redis that has lost its data. */
  *charges(): Iterable<readonly [LimitKey, readonly Charge[]]> {
    const now = Math.floor(this.#clock.now())
    for (const { limitKey, meter } of this.#entries.values()) {
      meter.advance(limitKey.limit, now)
      const charges = meter.charges()
      if (charges.length > 0) yield [limitKey, charges]
    }
  }

  /** The usual call: one limit of one subject, without options. */
  #decideOne(limitCost: LimitCost): Decision {
    const now = Math.floor(this.#clock.now())
    const { cost } = limitCost
    const { meter, limit } = this.#createMeter(limitCost, now, true)
    const most = limit.limit
    const allowed = meter.admits(cost, most, '')
    if (allowed && cost > 0) {
      meter.charge(now, cost, '')
      this.#onCharge?.(limitCost, { atMs: now, cost })
    }
    const result: LimitResult = {
      allowed,
      remaining: meter.remaining(0, most),
      retryAfterMs: allowed ? 0 : meter.earliest(cost, most, now) - now,
      resetAtMs: meter.resetAt(0),
      chargedAtMs: now,
    }
    return {
      outcome: allowed ? 'allowed' : 'denied',
      blockedForMs: 0,
      delayMs: 0,
      abandoned: 0,
      results: [result],
    }
  }

  #judge(limitCost: LimitCost, now: number, id: string, perMille: number): Evaluation {
    const { meter, limit } = this.#createMeter(limitCost, now, true)
    const most = perMille === 1_000 ? limit.limit : Math.floor((limit.limit * perMille) / 1_000)
    const { cost } = limitCost
    return { limitCost, meter, cost, most, admitted: meter.admits(cost, most, id) }
  }

  #createMeter(
    limitKey: LimitKey,
    now: number,
    sharing = false,
  ): { meter: Meter; limit: Limit; entry: Entry } {
    let entry = this.#entries.get(limitKey)
    if (entry === undefined || entry.limitKey.limit.kind !== limitKey.limit.kind) {
      entry = {
        limitKey: { subject: limitKey.subject, name: limitKey.name, limit: limitKey.limit },
        meter: createMeter(limitKey.limit),
        seen: undefined,
      }
      this.#entries.set(limitKey, entry)
    }
    const limit = sharing ? this.#shareOf(limitKey.limit, entry.seen, now) : limitKey.limit
    entry.meter.advance(limit, now)
    return { meter: entry.meter, limit, entry }
  }

  #shareOf(limit: Limit, seen: RemoteSnapshot | undefined, now: number): Limit {
    const of = this.#share()
    if (of.instances === 1) return limit
    if (seen !== undefined) return partOf(limit, of, seen, now)
    const known = this.#shares.get(limit)
    if (known?.of === of) return known.limit
    const part = shareOf(limit, of)
    this.#shares.set(limit, { of, limit: part })
    return part
  }

  #blockedFor(limitCosts: readonly LimitCost[], now: number): number {
    if (this.#blocks.size === 0) return 0
    return Math.max(0, ...limitCosts.map((limitCost) => (this.#blocks.get(limitCost) ?? 0) - now))
  }

  #openReservation(key: string, now: number, openMs: number | undefined): number {
    if (openMs === undefined) return 0
    let abandoned = 0
    for (const [known, until] of this.#open.entries()) {
      if (until > now) break
      this.#open.delete(known)
      abandoned++
    }
    this.#open.set(key, now + openMs)
    return abandoned
  }
}

interface Evaluation {
  readonly limitCost: LimitCost
  readonly meter: Meter
  readonly cost: number
  readonly most: number
  readonly admitted: boolean
}

/** The time at which all admit. Three rounds, because a time that one limit moved may no longer suit another. */
function earliest(evaluations: readonly Evaluation[], now: number): number {
  let at = now
  for (let round = 0; round < 3; round++) {
    for (const { meter, cost, most } of evaluations) at = meter.earliest(cost, most, at)
  }
  return at
}

function resultOf(
  { meter, cost, most, admitted }: Evaluation,
  now: number,
  chargedAtMs: number,
  all: boolean,
  extra: number,
): LimitResult {
  const allowed = all || admitted
  return {
    allowed,
    remaining: meter.remaining(extra, most),
    retryAfterMs: allowed ? 0 : meter.earliest(cost, most, now) - now,
    resetAtMs: meter.resetAt(extra),
    chargedAtMs,
  }
}

/** A reservation belongs to the first subject of its call. */
function openKey(limitKeys: readonly LimitKey[], id: string): string {
  return `${id}\0${limitKeys[0]?.subject ?? ''}`
}
