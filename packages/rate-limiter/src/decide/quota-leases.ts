import type { Limit, QuotaLease } from '../limits.js'
import { LimitMap } from '../stores/limit-map.js'
import type { Change, Decision, LeaseRequest, LimitCost, LimitKey } from '../stores/port.js'

/** Units of one limit that Redis has charged and this process may spend. All local times are monotonic. */
interface Block {
  readonly limitKey: LimitKey
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
  mirroredAtMs: number
  asking: Promise<void> | undefined
  spent: number
  askedAtMs: number
  usedAtMs: number
}

/** Units that go back, and where they were noted. */
export interface ReturnedUnits {
  readonly change: Change
  readonly mirroredAtMs: number
}

/** What a machine's clock may drift from the server's within a lease. */
const drift = 0.99
const minUnits = 8

/**
 * Quota that was taken from Redis in advance. Its units were charged as of the lease's end, so that what is
 * spent late still counts for a whole window; and they may be spent until that end, reckoned from before
 * the request was sent, so that no clocks need to agree.
 */
export class QuotaLeases {
  readonly #blocks: LimitMap<Block>

  /** @param maxSubjects beyond it the blocks of the least recently used lapse */
  constructor(maxSubjects: number) {
    this.#blocks = new LimitMap(maxSubjects)
  }

  get size(): number {
    return this.#blocks.size
  }

  /** Whether all limits of the call are leased. */
  covers(limitCosts: readonly LimitCost[]): boolean {
    return limitCosts.every(({ limit }) => leaseOf(limit) !== undefined)
  }

  /** Spends from the blocks, all costs or none. */
  spend(limitCosts: readonly LimitCost[], nowMs: number): Decision | undefined {
    if (this.#blocks.size === 0) return undefined
    const only = limitCosts[0]
    if (limitCosts.length === 1 && only !== undefined) {
      const block = this.#blocks.get(only)
      if (block === undefined || block.units < only.cost || block.untilMs <= nowMs) return undefined
      return allowed([take(block, only.cost, nowMs)])
    }
    const blocks = limitCosts.map((limitCost) => this.#blocks.get(limitCost))
    for (let index = 0; index < blocks.length; index++) {
      const block = blocks[index]
      const cost = limitCosts[index]?.cost ?? 0
      if (block === undefined || block.units < cost || block.untilMs <= nowMs) return undefined
    }
    return allowed(
      blocks.flatMap((block, index) => (block ? [take(block, limitCosts[index]?.cost ?? 0, nowMs)] : [])),
    )
  }

  /** A request for these limits that is under way: a caller that waits for it need not ask. */
  asking(limitCosts: readonly LimitCost[]): Promise<void> | undefined {
    for (const limitCost of limitCosts) {
      const asking = this.#blocks.get(limitCost)?.asking
      if (asking !== undefined) return asking
    }
    return undefined
  }

  /** Whether more should be asked for before the block is empty. */
  isLow(limitCosts: readonly LimitCost[]): boolean {
    return limitCosts.some((limitCost) => {
      const block = this.#blocks.get(limitCost)
      return block !== undefined && block.asking === undefined && block.units * 4 < block.granted
    })
  }

  /** What to ask for together with a call. */
  leaseRequests(
    limitCosts: readonly LimitCost[],
    instances: number,
    nowMs: number,
  ): readonly (LeaseRequest | undefined)[] {
    return limitCosts.map(({ subject, name, limit }) => {
      const lease = leaseOf(limit)
      if (lease === undefined) return undefined
      const limitKey = { subject, name, limit }
      let block = this.#blocks.get(limitKey)
      if (block === undefined) {
        block = emptyBlock(limitKey, lease, nowMs)
        this.#blocks.set(limitKey, block)
      }
      const units = lease.size ?? wanted(block, nowMs)
      return { units, divisor: 2 * instances, forMs: lease.forMs }
    })
  }

  /** The request for these limits is on its way. */
  asked(limitCosts: readonly LimitCost[], request: Promise<void>, nowMs: number): void {
    for (const limitCost of limitCosts) {
      const block = this.#blocks.get(limitCost)
      if (block === undefined) continue
      block.askedAtMs = nowMs
      block.spent = 0
      block.asking = request
    }
  }

  /**
   * Takes in what was granted. @param sentAtMs before the request was sent @param mirror takes note of a block, as
   * if it were spent
   */
  granted(
    limitCosts: readonly LimitCost[],
    decision: Decision | undefined,
    sentAtMs: number,
    mirror: (block: LimitCost, delayMs: number) => number,
  ): readonly ReturnedUnits[] {
    const replaced: ReturnedUnits[] = []
    for (const [index, limitCost] of limitCosts.entries()) {
      const block = this.#blocks.get(limitCost)
      if (block === undefined) continue
      block.asking = undefined
      const units = decision?.leased?.[index] ?? 0
      const result = decision?.results[index]
      if (units === 0 || result === undefined) continue
      // The old block is charged as of another time: what is left of it goes back.
      if (block.units > 0) replaced.push(rest(block))
      block.units = units
      block.granted = units
      block.untilMs = sentAtMs + block.lease.forMs * drift
      block.chargedAtMs = result.chargedAtMs + block.lease.forMs
      block.remaining = Math.max(0, result.remaining - units)
      block.resetAtMs = result.resetAtMs
      block.mirroredAtMs = mirror({ ...limitCost, cost: units }, block.lease.forMs)
    }
    return replaced
  }

  /** Returns what is idle or about to lapse; with `all` everything. */
  collect(nowMs: number, all = false): readonly ReturnedUnits[] {
    const returned: ReturnedUnits[] = []
    for (const block of this.#blocks.values()) {
      const { forMs } = block.lease
      const isIdle = nowMs - block.usedAtMs > forMs / 2
      if (!all && !isIdle && block.untilMs > nowMs) continue
      if (block.units > 0) returned.push(rest(block))
      block.units = 0
      if (block.asking === undefined && nowMs - block.usedAtMs > 2 * forMs)
        this.#blocks.delete(block.limitKey)
    }
    return returned
  }
}

export function leaseOf(limit: Limit): QuotaLease | undefined {
  return limit.kind === 'concurrency' ? undefined : limit.lease
}

function emptyBlock(limitKey: LimitKey, lease: QuotaLease, nowMs: number): Block {
  return {
    limitKey,
    lease,
    units: 0,
    granted: 0,
    untilMs: 0,
    chargedAtMs: 0,
    remaining: 0,
    resetAtMs: 0,
    mirroredAtMs: 0,
    asking: undefined,
    spent: 0,
    askedAtMs: nowMs,
    usedAtMs: nowMs,
  }
}

/** What the traffic since the last request would need in a lease's time. */
function wanted({ spent, askedAtMs, lease }: Block, nowMs: number): number {
  const rate = spent / Math.max(1, nowMs - askedAtMs)
  return Math.max(minUnits, Math.ceil(rate * lease.forMs))
}

function take(block: Block, cost: number, nowMs: number): Decision['results'][number] {
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

function rest({ limitKey, units, chargedAtMs, mirroredAtMs }: Block): ReturnedUnits {
  return { change: { ...limitKey, change: -units, chargedAtMs }, mirroredAtMs }
}

function allowed(results: Decision['results']): Decision {
  return { outcome: 'allowed', blockedForMs: 0, delayMs: 0, abandoned: 0, results }
}
