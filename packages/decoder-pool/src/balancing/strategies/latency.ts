import type { NodeState } from '../../nodes/node-state.js'
import { bestOfFew, type Strategy } from '../strategy.js'

/** Weight of each compared node in the typical latency. */
const share = 1 / 64

/**
 * Width of the random variation of the typical latency for a node without a measurement, so that one of several callers
 * tries such a node, whatever the last answers of the others took.
 */
const unknownSpread = 0.2

/** The shortest expected wait of a few nodes. */
export function latency(): Strategy {
  const waitOf = expectedWait()
  return {
    name: 'latency',
    choose: ({ states }, _, now, random) => bestOfFew(states, (state) => waitOf(state, now, random), random),
  }
}

/**
 * Expected wait on a node: its load, this request included, times the root of its latency. A measured latency includes
 * the wait behind other requests at that time: taken whole, it would count load twice, the second time late, and drive
 * all requests from node to node. A node without a measurement counts as about as quick as the measured ones.
 */
export function expectedWait(): (state: NodeState, now: number, random: () => number) => number {
  let typicalMs = 0
  return (state, now, random) => {
    if (!state.knowsLatency) {
      const guessedMs = (typicalMs || 1) * (1 + unknownSpread * (random() - 0.5))
      return state.loadAt(now, 1) * Math.sqrt(state.latencyAt(now, guessedMs))
    }
    const latencyMs = state.latencyAt(now)
    typicalMs = typicalMs === 0 ? latencyMs : typicalMs + (latencyMs - typicalMs) * share
    return state.loadAt(now, 1) * Math.sqrt(latencyMs)
  }
}
