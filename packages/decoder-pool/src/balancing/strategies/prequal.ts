import type { NodeState } from '../../nodes/node-state.js'
import { bestOfFew, type Strategy } from '../strategy.js'
import { expectedWait } from './latency.js'

/** Nodes above this share of what was seen under way are hot. */
const hotQuantile = 0.84
const remembered = 64
/** More than any wait, so that the hot ones come after all the others, and among themselves by load. */
const hotCost = 1e12

/**
 * The hot-cold rule of Prequal (Wydrowski and others, NSDI 2024), on what this coordinator knows itself: of a
 * few drawn nodes, those with unusually many requests under way are hot. Among the cold the one with the least
 * wait at its present load is chosen, and if all are hot the one with the fewest requests.
 */
export function prequal(): Strategy {
  const seen = new Float64Array(remembered)
  const waitOf = expectedWait()
  let count = 0
  let hotAbove = Number.POSITIVE_INFINITY
  const note = (load: number) => {
    seen[count++ % remembered] = load
    // To sort what changes slowly with each request would be the dearest part of it.
    if (count % remembered !== 0) return
    const known = seen.slice().sort()
    hotAbove = known[Math.floor(known.length * hotQuantile)] ?? Number.POSITIVE_INFINITY
  }
  const costOf = (state: NodeState, now: number, random: () => number) => {
    const load = state.loadAt(now)
    note(load)
    return load > hotAbove ? hotCost * (1 + load) : waitOf(state, now, random)
  }
  return {
    name: 'prequal',
    choose: ({ states }, _, now, random) => bestOfFew(states, (state) => costOf(state, now, random), random),
  }
}
