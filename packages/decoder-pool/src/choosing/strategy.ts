import type { NodeState } from '../node-state.js'
import type { Tier } from './candidates.js'
import type { Wanted } from './wanted.js'

/** Chooses among equally good nodes. Must not be slow: it runs with every request, without a round trip. */
export interface Strategy {
  readonly name: string
  /** A node, full or not; nothing only for a tier without nodes. */
  choose(tier: Tier, wanted: Wanted, now: number, random: () => number): NodeState | undefined
  /** A request was given to the node. */
  given?(state: NodeState, wanted: Wanted): void
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
 * The better of two drawn at random (Mitzenmacher, 2001): nearly as even as looking at all, in constant
 * time, and without the herd that many coordinators with the same stale view would make of one node.
 */
export function bestOfTwo(
  states: readonly NodeState[],
  costOf: (state: NodeState) => number,
  random: () => number,
): NodeState | undefined {
  const count = states.length
  const index = Math.floor(random() * count)
  const first = states[index]
  if (first === undefined || count === 1) return first
  // Drawn from the others, so that it is never the same one.
  const second = states[(index + 1 + Math.floor(random() * (count - 1))) % count]
  if (second === undefined) return first
  return costOf(second) < costOf(first) ? second : first
}
