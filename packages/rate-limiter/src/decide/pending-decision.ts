import type { Source } from '@evenkeel/core'
import type { Decision, DecisionRequest } from '../stores/port.js'

/**
 * A request, and the callbacks for its answer. They are not promises, because every decision of a service goes through
 * them.
 */
export interface PendingDecision extends DecisionRequest {
  /** The time as of which memory has charged it already, if both stores must admit it. */
  mirroredAtMs?: number
  /** @param mirroredAtMs the time as of which memory charged it, whichever store decided */
  done(decision: Decision, source: Source, mirroredAtMs: number): void
  failed(error: unknown): void
}
