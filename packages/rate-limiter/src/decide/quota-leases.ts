import type { Limit, QuotaLease } from '../limits.js'
import { LimitMap } from '../stores/limit-map.js'
import type { Change, Decision, LeaseRequest, LimitCost, LimitKey } from '../stores/port.js'

/** Units of one limit that Redis has charged and this process may spend. All local times are monotonic. */
interface Block {
  readonly limitKey: LimitKey
  readonly lease: QuotaLease
  units: number
  /** Units of the last grant. When less than a quarter is left, more is requested. */
  granted: number
  untilMs: number
  /** The time as of which they are charged, on the server's clock. */
  chargedAtMs: number
  /** What remained in Redis at the last grant. */
  remaining: number
  resetAtMs: number
  /** The time as of which this process's memory has charged them. */
  mirroredAtMs: number
  asking: Promise<void> | undefined
  spent: number
  askedAtMs: number
  usedAtMs: number
}

/** Units to return to Redis, and the time as of which this process's memory charged them. */
export interface ReturnedUnits {
  readonly change: Change
  readonly mirroredAtMs: number
}

/** The part of a lease that is used, because this machine's clock may run slower than the server's. */
const drift = 0.99
const minUnits = 8

/**
 * Holds quota that was taken from Redis in advance. Its units are charged as of the end of the lease, so that units
 * spent late still count for a whole window. They may be spent until that end, measured from before the request was
 * sent, so that clocks need not agree.
 */
export class QuotaLeases {
  readonly #blocks: LimitMap<Block>

  /** @param maxSubjects above this number, the blocks of the least recently used subjects are dropped */
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

  /** Spends from the blocks, all costs or none; `undefined` if one of them is not enough. */
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

  /** A request for these limits that is in flight: a caller can wait for it instead of asking. */
  asking(limitCosts: readonly LimitCost[]): Promise<void> | undefined {
    for (const limitCost of limitCosts) {
      const asking = this.#blocks.get(limitCost)?.asking
      if (asking !== undefined) return asking
    }
    return undefined
  }

  /** Whether more units should be requested before a block is empty. */
  isLow(limitCosts: readonly LimitCost[]): boolean {
    return limitCosts.some((limitCost) => {
      const block = this.#blocks.get(limitCost)
      return block !== undefined && block.asking === undefined && block.units * 4 < block.granted
    })
  }

  /** The units to request together with a call. */
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

  /** Records that the request for these limits was sent. */
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
   * Stores what was granted, and returns what is left of the blocks that it replaces.
   * @param sentAtMs a time before the request was sent
   * @param mirror charges a block in memory, as if it were spent
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
      // The old block is charged as of another time, so what is left of it is returned.
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

  /** Takes the units out of blocks that are idle or over; with `all`, out of every block. */
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

/** The units that traffic as since the last request needs within a lease. */
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
    // The time of the grant, to which `resetAtMs` belongs. Units spent from a block can't be settled.
    chargedAtMs: block.chargedAtMs - block.lease.forMs,
  }
}

function rest({ limitKey, units, chargedAtMs, mirroredAtMs }: Block): ReturnedUnits {
  return { change: { ...limitKey, change: -units, chargedAtMs }, mirroredAtMs }
}

function allowed(results: Decision['results']): Decision {
  return { outcome: 'allowed', blockedForMs: 0, delayMs: 0, abandoned: 0, results }
}
