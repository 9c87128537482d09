import type { NodeState } from '../../nodes/node-state.js'
import { bestOfFew, type Strategy } from '../strategy.js'

/** How much of the news the typical latency takes from each node that is looked at. */
const share = 1 / 64

/**
 * How far the typical latency is moved up or down, at random, for a node without a measurement: whatever the last
 * answer of the others took, callers that come one after the other try it.
 */
const unknownSpread = 0.2

/** The least expected wait, of a few. */
export function latency(): Strategy {
  const waitOf = expectedWait()
  return {
    name: 'latency',
    choose: ({ states }, _, now, random) => bestOfFew(states, (state) => waitOf(state, now, random), random),
  }
}

/**
 * Expected wait on a node: its load with this request in it, by the root of its latency. What a node's answers
 * took holds the wait behind others too, and as it was when those came; taken whole it would count load twice,
 * the second time late, and drive all from node to node. A node without a measurement is about as quick
 * as those that were: neither a refuge nor a risk.
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
