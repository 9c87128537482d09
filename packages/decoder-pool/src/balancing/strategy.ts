import type { NodeState } from '../nodes/node-state.js'
import type { Tier } from './candidates.js'
import type { NodeRequirements } from './requirements.js'

/** Chooses among equally good nodes. It must be fast: it runs for every request, without a round trip. */
export interface Strategy {
  readonly name: string
  /** Returns a node, full or not; `undefined` only for a tier without nodes. */
  choose(tier: Tier, wanted: NodeRequirements, now: number, random: () => number): NodeState | undefined
  /** Called when a request was given to the node; the returned function is called when that request has ended. */
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
 * Number of nodes that are compared. In theory, two are enough to prevent a herd. Six are nearly as good as all nodes
 * of a small pool, which matters if requests are few and long; with more, `pick` would be too slow in a large pool.
 */
const maxDraws = 6

/** Filled by {@link draw}, and reused so that a choice allocates nothing. */
const drawn = new Int32Array(maxDraws)
const underWay = new Float64Array(maxDraws)

/**
 * The best of a few nodes drawn at random (Mitzenmacher, 2001): nearly as even as a comparison of all, in constant
 * time, and without the herd on one node that many coordinators with the same stale view would form.
 */
export function bestOfFew(
  states: readonly NodeState[],
  costOf: (state: NodeState) => number,
  random: () => number,
): NodeState | undefined {
  const draws = draw(states, random)
  let best: NodeState | undefined
  let least = Number.POSITIVE_INFINITY
  for (let place = 0; place < draws; place++) {
    const state = states[drawn[place] ?? 0]
    if (state === undefined) return best
    const cost = costOf(state)
    if (best === undefined || cost < least) {
      best = state
      least = cost
    }
  }
  return best
}

/**
 * Draws the indices of a few different nodes, and reads all of these nodes before any is compared: the nodes of a large
 * pool are not in the processor's cache, which then loads them together instead of one after the other.
 */
function draw(states: readonly NodeState[], random: () => number): number {
  const count = states.length
  const draws = Math.min(maxDraws, count)
  // All steps together are less than one round, so that no node is drawn twice.
  const step = Math.floor((count - 1) / Math.max(1, draws - 1))
  let index = Math.floor(random() * count)
  for (let place = 0; place < draws; place++) {
    drawn[place] = index
    underWay[place] = states[index]?.inFlight ?? 0
    index += 1 + Math.floor(random() * step)
    if (index >= count) index -= count
  }
  return draws
}
