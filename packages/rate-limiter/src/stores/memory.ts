import { type Clock, Emitter, systemClock } from '@evenkeel/core'
import QuickLRU from 'quick-lru'
import { SlotMeter } from '../algorithms/concurrency.js'
import { meterOf } from '../algorithms/create-meter.js'
import { type Charge, type Meter, slackMs } from '../algorithms/meter.js'
import type { Verdict } from '../algorithms/verdict.js'
import type { Limit } from '../limits.js'
import { partOf, type Seen, type Share, shareOf } from '../outage/share.js'
import { CellMap } from './limit-map.js'
import type {
  Cell,
  Change,
  Decision,
  DecisionRequest,
  Demand,
  Held,
  LimitStore,
  Reading,
  Settlement,
  Terms,
} from './port.js'

const alone: Share = { instances: 1 }
const noTerms: Terms = {}

export interface MemoryLimitStoreOptions {
  /** Subjects that are kept; beyond it the least recently used are forgotten. @default 10_000 */
  readonly maxSubjects?: number
  /** Asked at each decision, since instances come and go. @default the whole of every limit */
  readonly share?: () => Share
  readonly clock?: Clock
  /** Told of each charge, which the other instances don't know of. */
  readonly onCharge?: ((cell: Cell, charge: Charge) => void) | undefined
}

interface Entry {
  readonly cell: Cell
  readonly meter: Meter
  /** What Redis said last. */
  seen: Seen | undefined
}

/** The limits in this process: exact for one instance, a share of them for several. No operation waits. */
export class MemoryLimitStore implements LimitStore {
  readonly #entries: CellMap<Entry>
  readonly #blocks: CellMap<number>
  readonly #open: QuickLRU<string, number>
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
    this.#entries = new CellMap(maxSubjects)
    this.#blocks = new CellMap(maxSubjects)
    this.#open = new QuickLRU({ maxSize: Math.max(1, Math.floor(maxSubjects / 2)) })
    this.#share = share
    this.#clock = clock
    this.#onCharge = onCharge
  }

  /** Subjects that are remembered. */
  get size(): number {
    return this.#entries.size
  }

  async decide(requests: readonly DecisionRequest[]): Promise<readonly Decision[]> {
    return requests.map(({ demands, terms }) => this.decideNow(demands, terms))
  }

  /** {@link decide} without a promise, for those who have no other store to ask. */
  decideNow(demands: readonly Demand[], terms: Terms = noTerms): Decision {
    const only = demands[0]
    if (terms === noTerms && only !== undefined && demands.length === 1 && this.#blocks.size === 0)
      return this.#decideOne(only)
    const { mode = 'charge', id = '', perMille = 1_000 } = terms
    const now = Math.floor(this.#clock.now())
    const blockedForMs = this.#blockedFor(demands, now)
    const judged = demands.map((demand) => this.#judge(demand, now, id, perMille))
    const allowed = blockedForMs === 0 && judged.every(({ admitted }) => admitted)

    let outcome: Decision['outcome'] = allowed ? 'allowed' : 'denied'
    let at = now
    if (!allowed && mode === 'book' && blockedForMs === 0) {
      const missing = judged.filter(({ admitted, meter }) => !admitted && meter instanceof SlotMeter)
      if (missing.length > 0) {
        outcome = 'in-line'
        for (const { meter, cost } of judged) if (meter instanceof SlotMeter && cost > 0) meter.join(id)
      } else {
        at = earliest(judged, now)
        if (at - now <= (terms.maxDelayMs ?? 0)) outcome = 'booked'
      }
    }
    const admitted = outcome === 'allowed' || outcome === 'booked'
    const chargedAtMs = outcome === 'booked' ? at + slackMs : now
    let abandoned = 0
    if (admitted && mode !== 'peek') {
      for (const one of judged) {
        if (one.cost === 0) continue
        one.meter.charge(chargedAtMs, one.cost, id)
        if (outcome === 'booked') one.meter.book(at)
        this.#onCharge?.(one.demand, { atMs: chargedAtMs, cost: one.cost })
      }
      abandoned = this.#openReservation(openKey(demands, id), now, terms.openMs)
    }
    // What is not charged but will be admitted is told as if it were charged.
    const asIf = mode === 'peek' && outcome === 'allowed'
    return {
      outcome,
      blockedForMs,
      delayMs: outcome === 'booked' ? at - now : 0,
      abandoned,
      verdicts: judged.map((one) => verdictOf(one, now, chargedAtMs, admitted, asIf ? one.cost : 0)),
    }
  }

  async settle({ id, changes }: Settlement): Promise<boolean> {
    const now = Math.floor(this.#clock.now())
    const key = openKey(changes, id)
    const until = this.#open.get(key)
    const isOpen = until !== undefined && until > now
    this.#open.delete(key)
    for (const change of changes) {
      const { meter } = this.#meterOf(change, now)
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
      this.#meterOf(change, now).meter.refund(change.chargedAtMs, -change.change, '')
  }

  async renew(slots: readonly Held[], adopt = false): Promise<boolean[]> {
    const now = Math.floor(this.#clock.now())
    return slots.map((slot) => {
      const { meter } = this.#meterOf(slot, now)
      if (!(meter instanceof SlotMeter)) return false
      if (adopt) meter.adopt(slot.id, slot.cost)
      return meter.renew(slot.id)
    })
  }

  async learn(readings: readonly Reading[]): Promise<void> {
    const now = Math.floor(this.#clock.now())
    for (const reading of readings)
      this.#meterOf(reading, now).meter.lower(reading.remaining, reading.resetMs)
  }

  async block(cells: readonly Cell[], forMs: number): Promise<void> {
    for (const cell of cells) {
      if (forMs === 0) this.#blocks.delete(cell)
      else this.#blocks.set(cell, Math.floor(this.#clock.now()) + forMs)
    }
  }

  async reset(cells: readonly Cell[]): Promise<void> {
    for (const cell of cells) {
      this.#entries.delete(cell)
      this.#blocks.delete(cell)
    }
  }

  watch(turn: (id: string) => void): () => void {
    return this.#turns.on('turn', turn)
  }

  /**
   * Takes note of what Redis admitted, so that an outage does not hand this instance a fresh limit. Gives the
   * time as of which it is charged here.
   */
  note(demands: readonly Demand[], nowMs: number, delayMs = 0, id = ''): number {
    const now = Math.floor(nowMs)
    const atMs = delayMs === 0 ? now : now + delayMs + slackMs
    for (const demand of demands) {
      if (demand.cost === 0) continue
      const { meter } = this.#meterOf(demand, now)
      if (meter instanceof SlotMeter) meter.adopt(id, demand.cost)
      else meter.charge(atMs, demand.cost, id)
    }
    return atMs
  }

  /** Takes note of what Redis says is left, for the share of an outage. */
  see(demands: readonly Demand[], verdicts: readonly Verdict[], nowMs: number): void {
    const now = Math.floor(nowMs)
    for (let index = 0; index < demands.length; index++) {
      const demand = demands[index]
      const verdict = verdicts[index]
      if (demand === undefined || verdict === undefined) continue
      const { meter, entry, limit } = this.#meterOf(demand, now)
      const used = limit.limit - meter.remaining(0, limit.limit)
      entry.seen = { used, remaining: verdict.remaining, atMs: now }
    }
  }

  /** Takes note of what became of it. */
  adjust(changes: readonly Change[], id: string): void {
    const now = Math.floor(this.#clock.now())
    for (const change of changes) {
      const { meter } = this.#meterOf(change, now)
      if (change.change > 0) meter.charge(now, change.change, id)
      else meter.refund(change.chargedAtMs, -change.change, id)
    }
  }

  /** All that counts at the moment, for a Redis that has lost it. */
  *charges(): Iterable<readonly [Cell, readonly Charge[]]> {
    const now = Math.floor(this.#clock.now())
    for (const { cell, meter } of this.#entries.values()) {
      meter.advance(cell.limit, now)
      const charges = meter.charges()
      if (charges.length > 0) yield [cell, charges]
    }
  }

  /** What most calls are: one limit of one subject. */
  #decideOne(demand: Demand): Decision {
    const now = Math.floor(this.#clock.now())
    const { cost } = demand
    const { meter, limit } = this.#meterOf(demand, now, true)
    const most = limit.limit
    const allowed = meter.admits(cost, most, '')
    if (allowed && cost > 0) {
      meter.charge(now, cost, '')
      this.#onCharge?.(demand, { atMs: now, cost })
    }
    const verdict: Verdict = {
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
      verdicts: [verdict],
    }
  }

  #judge(demand: Demand, now: number, id: string, perMille: number): Judged {
    const { meter, limit } = this.#meterOf(demand, now, true)
    const most = perMille === 1_000 ? limit.limit : Math.floor((limit.limit * perMille) / 1_000)
    const { cost } = demand
    return { demand, meter, cost, most, admitted: meter.admits(cost, most, id) }
  }

  #meterOf(cell: Cell, now: number, sharing = false): { meter: Meter; limit: Limit; entry: Entry } {
    let entry = this.#entries.get(cell)
    if (entry === undefined || entry.cell.limit.kind !== cell.limit.kind) {
      entry = {
        cell: { subject: cell.subject, name: cell.name, limit: cell.limit },
        meter: meterOf(cell.limit),
        seen: undefined,
      }
      this.#entries.set(cell, entry)
    }
    const limit = sharing ? this.#shareOf(cell.limit, entry.seen, now) : cell.limit
    entry.meter.advance(limit, now)
    return { meter: entry.meter, limit, entry }
  }

  #shareOf(limit: Limit, seen: Seen | undefined, now: number): Limit {
    const of = this.#share()
    if (of.instances === 1) return limit
    if (seen !== undefined) return partOf(limit, of, seen, now)
    const known = this.#shares.get(limit)
    if (known?.of === of) return known.limit
    const part = shareOf(limit, of)
    this.#shares.set(limit, { of, limit: part })
    return part
  }

  #blockedFor(demands: readonly Demand[], now: number): number {
    if (this.#blocks.size === 0) return 0
    return Math.max(0, ...demands.map((demand) => (this.#blocks.get(demand) ?? 0) - now))
  }

  #openReservation(key: string, now: number, openMs: number | undefined): number {
    if (openMs === undefined) return 0
    let abandoned = 0
    for (const [known, until] of this.#open.entriesAscending()) {
      if (until > now) break
      this.#open.delete(known)
      abandoned++
    }
    this.#open.set(key, now + openMs)
    return abandoned
  }
}

interface Judged {
  readonly demand: Demand
  readonly meter: Meter
  readonly cost: number
  readonly most: number
  readonly admitted: boolean
}

/** The time at which all admit: a later time for one may be too late for another. */
function earliest(judged: readonly Judged[], now: number): number {
  let at = now
  for (let round = 0; round < 3; round++) {
    for (const { meter, cost, most } of judged) at = meter.earliest(cost, most, at)
  }
  return at
}

function verdictOf(
  { meter, cost, most, admitted }: Judged,
  now: number,
  chargedAtMs: number,
  all: boolean,
  extra: number,
): Verdict {
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
function openKey(cells: readonly Cell[], id: string): string {
  return `${id}\0${cells[0]?.subject ?? ''}`
}
