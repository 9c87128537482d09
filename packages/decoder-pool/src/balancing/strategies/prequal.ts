import type { NodeState } from '../../nodes/node-state.js'
import { bestOfFew, type Strategy } from '../strategy.js'
import { expectedWait } from './latency.js'

/** Nodes with a load above this quantile of the loads seen last are hot. */
const hotQuantile = 0.84
const remembered = 64
/** More than any wait, so that hot nodes come after all others, in the order of their loads. */
const hotCost = 1e12

/**
 * The hot-cold rule of Prequal (Wydrowski and others, NSDI 2024), with what this coordinator knows itself: of a few
 * drawn nodes, those with an unusually high load are hot. Of the cold ones, the one with the shortest expected wait is
 * chosen; if all are hot, the one with the lowest load.
 */
export function prequal(): Strategy {
  const seen = new Float64Array(remembered)
  const waitOf = expectedWait()
  let count = 0
  let hotAbove = Number.POSITIVE_INFINITY
  const note = (load: number) => {
    seen[count++ % remembered] = load
    // The quantile changes slowly, and sorting for each request would be the most expensive part of it.
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
