import type { NodeState } from '../nodes/node-state.js'
import type { EjectionReason } from './ejection.js'

/**
 * What a node is to this coordinator, the first that applies: it drains; probes say that it is out; its requests
 * took it out; after that, one request at a time tries it; its lease has ended; it has just come (back) and takes
 * less than its share; or none of these.
 */
export const healthStates = [
  'draining',
  'unhealthy',
  'ejected',
  'trial',
  'suspect',
  'warming',
  'serving',
] as const

export type HealthState = (typeof healthStates)[number]

export interface NodeHealth {
  readonly state: HealthState
  /** By probes. */
  readonly healthy: boolean
  /** For what its requests came to; trials included. */
  readonly ejected: boolean
  readonly ejection: NodeEjection | undefined
  /** Its lease has ended: only probes speak for it. */
  readonly suspect: boolean
  /** The last word of probes, and whose it is: a coordinator's id. */
  readonly verdict: NodeVerdict | undefined
  /** The time for which it asked to get nothing new. */
  readonly pushBackMs: number
}

export interface NodeEjection {
  readonly reason: EjectionReason
  /** Until its trial; `0` when that may begin. */
  readonly forMs: number
}

export interface NodeVerdict {
  readonly healthy: boolean
  readonly by: string
  readonly agoMs: number
  /** What this coordinator's last probe was answered, such as `503 from /health`; nothing where it does not probe it. */
  readonly reason: string | undefined
}

export function healthOf(state: NodeState, suspect: boolean, now: number): NodeHealth {
  const { ejection, judgement } = state
  return {
    state: stateOf(state, suspect, now),
    healthy: state.healthy,
    ejected: ejection.trial !== 'none',
    ejection: ejection.reason && {
      reason: ejection.reason,
      forMs: Math.max(0, Math.ceil(ejection.until - now)),
    },
    suspect,
    verdict: judgement && {
      healthy: judgement.healthy,
      by: judgement.by,
      agoMs: Math.max(0, Math.round(now - judgement.at)),
      reason: state.probes.reason,
    },
    pushBackMs: Math.max(0, Math.ceil(state.pushedBackUntil - now)),
  }
}

function stateOf(state: NodeState, suspect: boolean, now: number): HealthState {
  if (state.node.draining) return 'draining'
  if (!state.healthy) return 'unhealthy'
  if (!state.ejection.isOver(now)) return 'ejected'
  if (state.ejection.trial !== 'none') return 'trial'
  if (suspect) return 'suspect'
  return state.isWarming(now) ? 'warming' : 'serving'
}
