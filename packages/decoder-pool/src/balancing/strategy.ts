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
 * Number of candidates that are compared. Two are what theory needs against a herd. Six come near to looking at all of a small pool,
 * which matters where requests are few and long; more would cost what `pick` may cost in a large one.
 */
const maxDraws = 6

/** What {@link draw} fills, kept between choices since each would make them anew. */
const drawn = new Int32Array(maxDraws)
const underWay = new Float64Array(maxDraws)

/**
 * The best of a few drawn at random (Mitzenmacher, 2001): nearly as even as looking at all, in constant time, and
 * without the herd that many coordinators with the same stale view would make of one node.
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
 * Draws the indices of a few, each once, and reads all of them before any is weighed: the nodes of a large pool are
 * not in the processor's cache, and so it waits for them together instead of one after the other.
 */
function draw(states: readonly NodeState[], random: () => number): number {
  const count = states.length
  const draws = Math.min(maxDraws, count)
  // Steps that together don't go once round, so that none is drawn twice.
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
