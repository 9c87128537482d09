import type { NodeState } from '../nodes/node-state.js'
import type { EjectionReason } from './ejection.js'

/**
 * State of a node for this coordinator; the first that applies: it drains; probes say that it is down; it is ejected
 * because of its requests; it is on trial, with one request at a time; its lease has ended; it is new or has just come
 * back, and gets less than its share; or none of these.
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
  /** By the last probes. */
  readonly healthy: boolean
  /** Because of the outcomes of its requests; also while it is on trial. */
  readonly ejected: boolean
  readonly ejection: NodeEjection | undefined
  /** Its lease has ended, and only probes show that it works. */
  readonly suspect: boolean
  /** Last verdict of probes, and the id of the coordinator that gave it. */
  readonly verdict: NodeVerdict | undefined
  /** Remaining milliseconds for which the node asked to get no new requests. */
  readonly pushBackMs: number
}

export interface NodeEjection {
  readonly reason: EjectionReason
  /** Milliseconds until its trial; `0` when the trial may begin. */
  readonly forMs: number
}

export interface NodeVerdict {
  readonly healthy: boolean
  readonly by: string
  readonly agoMs: number
  /** Result of this coordinator's last probe, such as `503 from /health`; `undefined` if it does not probe the node. */
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
