import type { NodeState } from '../../node-state.js'
import type { Strategy } from '../strategy.js'

/** Nodes above this share of what was seen under way are hot. */
const hotQuantile = 0.84
const drawn = 4
const remembered = 64

/**
 * The hot-cold rule of Prequal (Wydrowski and others, NSDI 2024), on what this coordinator knows itself: of a
 * few drawn nodes, those with unusually many requests under way are hot. Among the cold the quickest is
 * chosen, and if all are hot the one with the fewest requests.
 */
export function prequal(): Strategy {
  const seen = new Float64Array(remembered)
  let count = 0
  let hotAbove = Number.POSITIVE_INFINITY
  const note = (load: number) => {
    seen[count++ % remembered] = load
    // To sort what changes slowly with each request would be the dearest part of it.
    if (count % (remembered / 4) !== 0) return
    const known = seen.slice(0, Math.min(count, remembered)).sort()
    hotAbove = known[Math.floor(known.length * hotQuantile)] ?? Number.POSITIVE_INFINITY
  }
  return {
    name: 'prequal',
    choose: ({ states }, _, now, random) => {
      let cold: NodeState | undefined
      let fewest: NodeState | undefined
      for (let draw = 0; draw < Math.min(drawn, states.length); draw++) {
        const state = states[Math.floor(random() * states.length)]
        if (state === undefined) continue
        const load = state.loadAt(now)
        note(load)
        if (fewest === undefined || load < fewest.loadAt(now)) fewest = state
        if (load > hotAbove) continue
        if (cold === undefined || state.latencyAt(now) < cold.latencyAt(now)) cold = state
      }
      return cold ?? fewest
    },
  }
}
