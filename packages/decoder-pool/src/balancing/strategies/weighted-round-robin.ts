import type { NodeState } from '../../nodes/node-state.js'
import type { Strategy } from '../strategy.js'

/** Approximate maximum length of a schedule; weights that need a longer one are rounded. */
const maxTurns = 10_000

/** In turns, by weight times capacity, spread as evenly as possible (nginx's smooth weighted round robin). */
export function weightedRoundRobin(): Strategy {
  return {
    name: 'weighted-round-robin',
    choose: (tier) => {
      const turns = tier.derive('turns', (states) => ({ schedule: scheduleOf(states), next: 0 }))
      const state = turns.schedule[turns.next]
      turns.next = (turns.next + 1) % Math.max(1, turns.schedule.length)
      return state
    },
  }
}

/** In each turn, every node gains its weight; the node that has most is chosen, and pays the sum of all weights. */
export function scheduleOf(states: readonly NodeState[]): readonly NodeState[] {
  const weights = states.map(({ node }) => node.weight * node.capacity)
  const divisor = weights.reduce(greatestCommon, 0) || 1
  const total = weights.reduce((sum, weight) => sum + weight, 0) / divisor
  const scale = Math.min(1, maxTurns / Math.max(1, total))
  const shares = weights.map((weight) => Math.max(1, Math.round((weight / divisor) * scale)))
  const sum = shares.reduce((all, share) => all + share, 0)
  const gained = shares.map(() => 0)
  return Array.from({ length: sum }, () => {
    let richest = 0
    for (const [index, share] of shares.entries()) {
      gained[index] = (gained[index] ?? 0) + share
      if ((gained[index] ?? 0) > (gained[richest] ?? 0)) richest = index
    }
    gained[richest] = (gained[richest] ?? 0) - sum
    return states[richest]
  }).filter((state) => state !== undefined)
}

function greatestCommon(one: number, other: number): number {
  return other === 0 ? one : greatestCommon(other, one % other)
}
