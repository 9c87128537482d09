import type { Source } from '@evenkeel/core'
import type { Clock } from '@evenkeel/core/kit'
import type { Limit } from '../limits.js'
import type { Decision, LimitCost } from '../stores/port.js'
import type { PendingDecision } from './pending-decision.js'
import { leaseOf, QuotaLeases, type ReturnedUnits } from './quota-leases.js'

export interface LeaseRefillHost {
  readonly clock: Clock
  /** Instances that share the limits. */
  instances(): number
  /** Whether Redis can be asked for quota at the moment. */
  isUsable(): boolean
  send(pending: PendingDecision): void
  /** Takes note of a block as if it were spent. Gives the time as of which it was noted. */
  mirror(block: LimitCost, delayMs: number): number
  giveBack(units: readonly ReturnedUnits[]): Promise<void>
}

/** Blocks of quota: spends from them, asks for more before they are empty, and gives back what is idle. */
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

  /** From quota that was taken in advance. */
  spend(limitCosts: readonly LimitCost[]): Decision | undefined {
    const decision = this.#leases.spend(limitCosts, this.#host.clock.monotonic())
    if (decision !== undefined && this.#leases.isLow(limitCosts) && this.#host.isUsable()) {
      // A cost of nothing: only the lease matters.
      this.#request(
        limitCosts.map((limitCost) => ({ ...limitCost, cost: 0 })),
        () => {},
        () => {},
      )
    }
    return decision
  }

  /** Whether the call is one that leases are for. */
  covers(limitCosts: readonly LimitCost[]): boolean {
    return this.#leases.covers(limitCosts) && this.#host.isUsable()
  }

  /**
   * Asks for a block together with the decision. Who comes while it is under way waits for it.
   * @param retry decides the call once the block is there
   */
  ask(pending: PendingDecision, retry: () => void): void {
    const asking = this.#leases.asking(pending.limitCosts)
    if (asking === undefined) this.#request(pending.limitCosts, pending.done, pending.failed)
    else void asking.then(retry)
  }

  /** Gives all back that was not spent. */
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
