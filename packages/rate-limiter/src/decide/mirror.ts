import type { Source } from '@evenkeel/core'
import type { Clock } from '@evenkeel/core/kit'
import type { MemoryLimitStore } from '../stores/memory.js'
import type { Change, Decision, LimitCost } from '../stores/port.js'
import type { PendingDecision } from './pending-decision.js'

/**
 * What Redis admitted is charged in this process's memory too, so that an outage finds no fresh limits. Each charge has
 * the time by which it is found again when less was used, or all of it is given back.
 */
export class Mirror {
  readonly #memory: MemoryLimitStore
  readonly #clock: Clock

  constructor(memory: MemoryLimitStore, clock: Clock) {
    this.#memory = memory
    this.#clock = clock
  }

  /** Charges what Redis is only about to be asked for, where this process's own share admits it. */
  chargeAhead(pending: PendingDecision): Decision | undefined {
    const { limitCosts, options } = pending
    const decision = this.#memory.decideNow(limitCosts, { ...options, mode: 'peek' })
    if (decision.outcome !== 'allowed') return decision
    pending.mirroredAtMs = this.#memory.mirror(limitCosts, this.#clock.now(), 0, options?.id)
    return undefined
  }

  /**
   * Charges what was decided, or gives back what was charged ahead of it.
   * @param hasAllCharges whether Redis has heard by now of what others charged alone in an outage
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

  /** Changes what was charged at that time. */
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
