import type { Source } from '@evenkeel/core'
import type { Decision, DecisionRequest } from '../stores/port.js'

/**
 * A request, and what is called with its answer. Callbacks, not promises: they are on the path of every decision
 * that a service makes.
 */
export interface PendingDecision extends DecisionRequest {
  /** As of when memory has charged it already, where both must admit it. */
  mirroredAtMs?: number
  /** @param mirroredAtMs when memory charged it, whichever store decided */
  done(decision: Decision, source: Source, mirroredAtMs: number): void
  failed(error: unknown): void
}
