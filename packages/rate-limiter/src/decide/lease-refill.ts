import type { Source } from '@evenkeel/core'
import type { Clock } from '@evenkeel/core/kit'
import type { Limit } from '../limits.js'
import type { Decision, LimitCost } from '../stores/port.js'
import type { PendingDecision } from './pending-decision.js'
import { leaseOf, QuotaLeases, type ReturnedUnits } from './quota-leases.js'

export interface LeaseRefillHost {
  readonly clock: Clock
  /** Number of instances that share the limits. */
  instances(): number
  /** Whether Redis can be asked for quota at the moment. */
  isUsable(): boolean
  send(pending: PendingDecision): void
  /** Charges a block in memory as if it were spent. Returns the time as of which it is charged there. */
  mirror(block: LimitCost, delayMs: number): number
  giveBack(units: readonly ReturnedUnits[]): Promise<void>
}

/** Spends from blocks of leased quota, requests more before they are empty, and returns idle units. */
export class LeaseRefill {
  readonly #leases: QuotaLeases
  readonly #sweepEveryMs: number
  readonly #host: LeaseRefillHost
  #sweep: NodeJS.Timeout | undefined

  constructor(limits: readonly Limit[], maxSubjects: number, host: LeaseRefillHost) {
    const forMs = Math.min(...limits.map((limit) => leaseOf(limit)?.forMs ?? Number.POSITIVE_INFINITY))
    this.#leases = new QuotaLeases(maxSubjects)
    this.#sweepEveryMs = Math.max(5, forMs / 4)
    this.#host = host
  }

  /** Decides from leased quota; `undefined` if that is not enough. */
  spend(limitCosts: readonly LimitCost[]): Decision | undefined {
    const decision = this.#leases.spend(limitCosts, this.#host.clock.monotonic())
    if (decision !== undefined && this.#leases.isLow(limitCosts) && this.#host.isUsable()) {
      // The cost is 0, because only the lease is wanted.
      this.#request(
        limitCosts.map((limitCost) => ({ ...limitCost, cost: 0 })),
        () => {},
        () => {},
      )
    }
    return decision
  }

  /** Whether all limits of the call are leased, and Redis can grant quota now. */
  covers(limitCosts: readonly LimitCost[]): boolean {
    return this.#leases.covers(limitCosts) && this.#host.isUsable()
  }

  /**
   * Requests a block together with the decision, or waits for a request that is in flight.
   * @param retry decides the call when that request has been answered
   */
  ask(pending: PendingDecision, retry: () => void): void {
    const asking = this.#leases.asking(pending.limitCosts)
    if (asking === undefined) this.#request(pending.limitCosts, pending.done, pending.failed)
    else void asking.then(retry)
  }

  /** Returns all units that were not spent. */
  giveBackAll(): Promise<void> {
    return this.#host.giveBack(this.#leases.collect(this.#host.clock.monotonic(), true))
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep)
    this.#sweep = undefined
    await this.giveBackAll()
  }

  #request(
    limitCosts: readonly LimitCost[],
    done: PendingDecision['done'],
    failed: PendingDecision['failed'],
  ): void {
    const { clock, send, mirror, giveBack, instances } = this.#host
    const sentAtMs = clock.monotonic()
    const leaseRequests = this.#leases.leaseRequests(limitCosts, instances(), sentAtMs)
    const asking = new Promise<void>((resolve) => {
      const granted = (decision: Decision | undefined) => {
        void giveBack(this.#leases.granted(limitCosts, decision, sentAtMs, mirror))
        resolve()
      }
      send({
        limitCosts,
        options: { leaseRequests },
        done: (decision: Decision, source: Source, mirroredAtMs: number) => {
          granted(source === 'redis' ? decision : undefined)
          done(decision, source, mirroredAtMs)
        },
        failed: (error) => {
          granted(undefined)
          failed(error)
        },
      })
    })
    this.#leases.asked(limitCosts, asking, sentAtMs)
    this.#sweepLater()
  }

  #sweepLater(): void {
    if (this.#sweep !== undefined) return
    this.#sweep = setInterval(() => {
      void this.#host.giveBack(this.#leases.collect(this.#host.clock.monotonic()))
      if (this.#leases.size !== 0) return
      clearInterval(this.#sweep)
      this.#sweep = undefined
    }, this.#sweepEveryMs)
    this.#sweep.unref()
  }
}
