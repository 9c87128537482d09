import type { Strategy } from '../../../../packages/decoder-pool/src/balancing/strategy.js'
import type { NodeState } from '../../../../packages/decoder-pool/src/nodes/node-state.js'

/** In turns, which each coordinator counts for itself. */
export function roundRobin(): Strategy {
  let turn: number | undefined
  return {
    name: 'round robin',
    choose: ({ states }, _, __, random) => {
      turn ??= Math.floor(random() * states.length)
      return states[turn++ % states.length]
    },
  }
}

/** LiteLLM's default: a draw by weight. */
export function simpleShuffle(): Strategy {
  return {
    name: 'LiteLLM simple-shuffle',
    choose: ({ states }, _, __, random) => {
      let rest = random() * states.reduce((sum, { node }) => sum + node.weight, 0)
      return states.find(({ node }) => {
        rest -= node.weight
        return rest < 0
      })
    },
  }
}

/**
 * LiteLLM's `least-busy`: the node with the fewest requests in flight of this process, among all that it ever knew;
 * among equals the one that it knew first. If that node is not in service, a random one.
 */
export function leastBusy(): Strategy {
  const known = new Map<string, NodeState>()
  return {
    name: 'LiteLLM least-busy',
    choose: ({ states }, _, __, random) => {
      for (const state of states) if (!known.has(state.node.id)) known.set(state.node.id, state)
      let least: NodeState | undefined
      for (const state of known.values())
        if (least === undefined || state.inFlight < least.inFlight) least = state
      return least !== undefined && states.includes(least)
        ? least
        : states[Math.floor(random() * states.length)]
    },
  }
}
