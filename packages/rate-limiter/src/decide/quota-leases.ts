import type { Limit, QuotaLease } from '../limits.js'
import { CellMap } from '../stores/limit-map.js'
import type { Cell, Change, Decision, Demand, LeaseWish } from '../stores/port.js'

/** Units of one cell that Redis has charged and this process may spend. All local times are monotonic. */
interface Block {
  readonly cell: Cell
  readonly lease: QuotaLease
  units: number
  /** Of the last grant; a quarter of it left, and more is asked for. */
  granted: number
  untilMs: number
  /** As of when they are charged, on the server's clock. */
  chargedAtMs: number
  /** What remained in Redis at the last grant. */
  remaining: number
  resetAtMs: number
  /** As of when this process took note of it. */
  notedAtMs: number
  asking: Promise<void> | undefined
  spent: number
  askedAtMs: number
  usedAtMs: number
}

/** Units that go back, and where they were noted. */
export interface Returned {
  readonly change: Change
  readonly notedAtMs: number
}

/** What a machine's clock may drift from the server's within a lease. */
const drift = 0.99
const leastUnits = 8

/**
 * Quota that was taken from Redis in advance. Its units were charged as of the lease's end, so that what is
 * spent late still counts for a whole window; and they may be spent until that end, reckoned from before
 * the request was sent, so that no clocks need to agree.
 */
export class QuotaLeases {
  readonly #blocks: CellMap<Block>

  /** @param maxSubjects beyond it the blocks of the least recently used lapse */
  constructor(maxSubjects: number) {
    this.#blocks = new CellMap(maxSubjects)
  }

  get size(): number {
    return this.#blocks.size
  }

  /** Whether all limits of the call are leased. */
  covers(demands: readonly Demand[]): boolean {
    return demands.every(({ limit }) => leaseOf(limit) !== undefined)
  }

  /** Spends from the blocks, all demands or none. */
  spend(demands: readonly Demand[], nowMs: number): Decision | undefined {
    if (this.#blocks.size === 0) return undefined
    const only = demands[0]
    if (demands.length === 1 && only !== undefined) {
      const block = this.#blocks.get(only)
      if (block === undefined || block.units < only.cost || block.untilMs <= nowMs) return undefined
      return allowed([take(block, only.cost, nowMs)])
    }
    const blocks = demands.map((demand) => this.#blocks.get(demand))
    for (let index = 0; index < blocks.length; index++) {
      const block = blocks[index]
      const cost = demands[index]?.cost ?? 0
      if (block === undefined || block.units < cost || block.untilMs <= nowMs) return undefined
    }
    return allowed(
      blocks.flatMap((block, index) => (block ? [take(block, demands[index]?.cost ?? 0, nowMs)] : [])),
    )
  }

  /** A request for these cells that is under way: whoever waits for it need not ask. */
  asking(demands: readonly Demand[]): Promise<void> | undefined {
    for (const demand of demands) {
      const asking = this.#blocks.get(demand)?.asking
      if (asking !== undefined) return asking
    }
    return undefined
  }

  /** Whether more should be asked for before the block is empty. */
  isLow(demands: readonly Demand[]): boolean {
    return demands.some((demand) => {
      const block = this.#blocks.get(demand)
      return block !== undefined && block.asking === undefined && block.units * 4 < block.granted
    })
  }

  /** What to ask for together with a call. */
  wishes(demands: readonly Demand[], instances: number, nowMs: number): readonly (LeaseWish | undefined)[] {
    return demands.map(({ subject, name, limit }) => {
      const lease = leaseOf(limit)
      if (lease === undefined) return undefined
      const cell = { subject, name, limit }
      let block = this.#blocks.get(cell)
      if (block === undefined) {
        block = emptyBlock(cell, lease, nowMs)
        this.#blocks.set(cell, block)
      }
      const units = lease.size ?? wanted(block, nowMs)
      return { units, divisor: 2 * instances, forMs: lease.forMs }
    })
  }

  /** The request for these cells is on its way. */
  asked(demands: readonly Demand[], request: Promise<void>, nowMs: number): void {
    for (const demand of demands) {
      const block = this.#blocks.get(demand)
      if (block === undefined) continue
      block.askedAtMs = nowMs
      block.spent = 0
      block.asking = request
    }
  }

  /**
   * Takes in what was granted. @param sentAtMs before the request was sent @param note takes note of a block, as if
   * it were spent
   */
  granted(
    demands: readonly Demand[],
    decision: Decision | undefined,
    sentAtMs: number,
    note: (block: Demand, delayMs: number) => number,
  ): readonly Returned[] {
    const replaced: Returned[] = []
    for (const [index, demand] of demands.entries()) {
      const block = this.#blocks.get(demand)
      if (block === undefined) continue
      block.asking = undefined
      const units = decision?.leased?.[index] ?? 0
      const verdict = decision?.verdicts[index]
      if (units === 0 || verdict === undefined) continue
      // The old block is charged as of another time: what is left of it goes back.
      if (block.units > 0) replaced.push(rest(block))
      block.units = units
      block.granted = units
      block.untilMs = sentAtMs + block.lease.forMs * drift
      block.chargedAtMs = verdict.chargedAtMs + block.lease.forMs
      block.remaining = Math.max(0, verdict.remaining - units)
      block.resetAtMs = verdict.resetAtMs
      block.notedAtMs = note({ ...demand, cost: units }, block.lease.forMs)
    }
    return replaced
  }

  /** What lies idle, or is about to lapse, goes back; with `all` everything. */
  collect(nowMs: number, all = false): readonly Returned[] {
    const returned: Returned[] = []
    for (const block of this.#blocks.values()) {
      const { forMs } = block.lease
      const isIdle = nowMs - block.usedAtMs > forMs / 2
      if (!all && !isIdle && block.untilMs > nowMs) continue
      if (block.units > 0) returned.push(rest(block))
      block.units = 0
      if (block.asking === undefined && nowMs - block.usedAtMs > 2 * forMs) this.#blocks.delete(block.cell)
    }
    return returned
  }
}

export function leaseOf(limit: Limit): QuotaLease | undefined {
  return limit.kind === 'concurrency' ? undefined : limit.lease
}

function emptyBlock(cell: Cell, lease: QuotaLease, nowMs: number): Block {
  return {
    cell,
    lease,
    units: 0,
    granted: 0,
    untilMs: 0,
    chargedAtMs: 0,
    remaining: 0,
    resetAtMs: 0,
    notedAtMs: 0,
    asking: undefined,
    spent: 0,
    askedAtMs: nowMs,
    usedAtMs: nowMs,
  }
}

/** What the traffic since the last request would need in a lease's time. */
function wanted({ spent, askedAtMs, lease }: Block, nowMs: number): number {
  const rate = spent / Math.max(1, nowMs - askedAtMs)
  return Math.max(leastUnits, Math.ceil(rate * lease.forMs))
}

function take(block: Block, cost: number, nowMs: number): Decision['verdicts'][number] {
  block.units -= cost
  block.spent += cost
  block.usedAtMs = nowMs
  return {
    allowed: true,
    remaining: block.remaining + block.units,
    retryAfterMs: 0,
    resetAtMs: block.resetAtMs,
    // When the block was granted: what is spent from it can't be settled.
    chargedAtMs: block.chargedAtMs - block.lease.forMs,
  }
}

function rest({ cell, units, chargedAtMs, notedAtMs }: Block): Returned {
  return { change: { ...cell, change: -units, chargedAtMs }, notedAtMs }
}

function allowed(verdicts: Decision['verdicts']): Decision {
  return { outcome: 'allowed', blockedForMs: 0, delayMs: 0, abandoned: 0, verdicts }
}
