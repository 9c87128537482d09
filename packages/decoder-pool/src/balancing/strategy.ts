import type { NodeState } from '../nodes/node-state.js'
import type { Tier } from './candidates.js'
import type { NodeRequirements } from './requirements.js'

/** Chooses among equally good nodes. Must not be slow: it runs with every request, without a round trip. */
export interface Strategy {
  readonly name: string
  /** A node, full or not; nothing only for a tier without nodes. */
  choose(tier: Tier, wanted: NodeRequirements, now: number, random: () => number): NodeState | undefined
  /** A request was given to the node; what it gives back is called when that request is over. */
  given?(state: NodeState, wanted: NodeRequirements): (() => void) | undefined
}

export const strategyNames = [
  'least-loaded',
  'latency',
  'weighted-round-robin',
  'consistent-hash',
  'prefix',
  'prequal',
  'random',
] as const

export type StrategyName = (typeof strategyNames)[number]

/**
 * So many are looked at. Two are what theory needs against a herd. Six come near to looking at all of a small pool,
 * which matters where requests are few and long; more would cost what `pick` may cost in a large one.
 */
const drawn = 6

/**
 * The best of a few drawn at random (Mitzenmacher, 2001): nearly as even as looking at all, in constant time, and
 * without the herd that many coordinators with the same stale view would make of one node.
 */
export function bestOfFew(
  states: readonly NodeState[],
  costOf: (state: NodeState) => number,
  random: () => number,
): NodeState | undefined {
  const count = states.length
  const draws = Math.min(drawn, count)
  // Steps that together don't go once round, so that none is drawn twice.
  const step = Math.floor((count - 1) / Math.max(1, draws - 1))
  let best: NodeState | undefined
  let least = Number.POSITIVE_INFINITY
  let index = Math.floor(random() * count)
  for (let draw = 0; draw < draws; draw++) {
    const state = states[index]
    if (state === undefined) return best
    const cost = costOf(state)
    if (best === undefined || cost < least) {
      best = state
      least = cost
    }
    index = (index + 1 + Math.floor(random() * step)) % count
  }
  return best
}
