import type { Source } from '@evenkeel/core'
import type { Clock } from '@evenkeel/core/kit'
import type { MemoryLimitStore } from '../stores/memory.js'
import type { Change, Decision, LimitCost } from '../stores/port.js'
import type { PendingDecision } from './pending-decision.js'

/**
 * Also charges in this process's memory what Redis admitted, so that an outage does not begin with unused limits. A
 * charge is identified by its time when it is settled or refunded.
 */
export class Mirror {
  readonly #memory: MemoryLimitStore
  readonly #clock: Clock

  constructor(memory: MemoryLimitStore, clock: Clock) {
    this.#memory = memory
    this.#clock = clock
  }

  /** Charges a call before Redis is asked, if this process's share admits it. Returns the denial otherwise. */
  chargeAhead(pending: PendingDecision): Decision | undefined {
    const { limitCosts, options } = pending
    const decision = this.#memory.decideNow(limitCosts, { ...options, mode: 'peek' })
    if (decision.outcome !== 'allowed') return decision
    pending.mirroredAtMs = this.#memory.mirror(limitCosts, this.#clock.now(), 0, options?.id)
    return undefined
  }

  /**
   * Charges what Redis admitted, or refunds what was charged ahead if Redis did not admit it.
   * @param hasAllCharges whether all instances have sent Redis their charges of an outage by now
   * @returns the time as of which it is charged here
   */
  take(
    { limitCosts, options, mirroredAtMs: aheadAtMs }: PendingDecision,
    decision: Decision,
    { source, now, hasAllCharges }: { source: Source; now: number; hasAllCharges: boolean },
  ): number {
    let mirroredAtMs = aheadAtMs ?? decision.results[0]?.chargedAtMs ?? 0
    if (aheadAtMs !== undefined && (source === 'memory' || decision.outcome !== 'allowed'))
      this.adjust(limitCosts.map(allBack), aheadAtMs, options?.id)
    if (source === 'redis' && options?.mode !== 'peek') {
      const isCharged = decision.outcome !== 'denied' && decision.outcome !== 'queued'
      if (isCharged && aheadAtMs === undefined)
        mirroredAtMs = this.#memory.mirror(limitCosts, now, decision.delayMs, options?.id)
      if (hasAllCharges) this.#memory.observeRemote(limitCosts, decision.results, now)
    }
    return mirroredAtMs
  }

  /** Charges more for a call that was charged as of `mirroredAtMs`, or refunds a part of it. */
  adjust(changes: readonly Omit<Change, 'chargedAtMs'>[], mirroredAtMs: number, id = ''): void {
    this.#memory.adjust(
      changes.map((change) => ({ ...change, chargedAtMs: mirroredAtMs })),
      id,
    )
  }
}

function allBack(limitCost: LimitCost): Omit<Change, 'chargedAtMs'> {
  return { ...limitCost, change: -limitCost.cost }
}
