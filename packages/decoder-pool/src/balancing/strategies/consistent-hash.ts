import type { NodeState } from '../../nodes/node-state.js'
import type { Tier } from '../candidates.js'
import { hash32, mix } from '../hash.js'
import type { Strategy } from '../strategy.js'
import { CommonPrefixes } from './common-prefixes.js'

/** A node takes at most this multiple of its share of the requests (Mirrokni, Thorup and Zadimoghaddam, 2018). */
const bound = 1.25
/** Up to this many nodes the rank of each is computed; above it a ring is quicker. */
const maxRanked = 128
const pointsEach = 100

/**
 * Sends a key to one node, or if that is overloaded to the next one in the key's own order, which all coordinators
 * compute alike without a message. A node that comes or goes moves only its share of the keys. The key is the session,
 * or the first block of the prompt that is not common; without either, `otherwise` chooses.
 */
export function consistentHash(otherwise: Strategy): Strategy {
  const beginnings = new CommonPrefixes()
  return {
    name: 'consistent-hash',
    choose: (tier, wanted, now, random) => {
      const key = wanted.sessionKey ?? beginnings.own(wanted.prefix ?? [], tier.states.length)
      if (key === undefined) return otherwise.choose(tier, wanted, now, random)
      return firstInBounds(tier, hash32(String(key)))
    },
    given: (_, { sessionKey, prefix = [] }) => {
      if (sessionKey === undefined && prefix.length > 0) beginnings.note(prefix)
      return undefined
    },
  }
}

/** In a large pool, the requests in flight are summed once in (number of nodes × this) choices. */
const addedShare = 1 / 16

interface UnderWay {
  inFlight: number
  capacity: number
  /** Choices until the sums are computed again. */
  left: number
}

/** The first in the key's order that has not more than its share. */
function firstInBounds(tier: Tier, key: number): NodeState | undefined {
  const { states } = tier
  const { inFlight, capacity } = underWay(tier)
  const share = (bound * (inFlight + 1)) / Math.max(1, capacity)
  const takes = (state: NodeState) =>
    state.inFlight + 1 <= Math.max(1, Math.ceil(share * state.node.capacity))
  return states.length <= maxRanked ? byRank(tier, key, takes) : onRing(tier, key, takes)
}

/** The sums over all nodes, reused for several choices, because one choice changes them little. */
function underWay(tier: Tier): UnderWay {
  const sum = tier.derive('under way', (): UnderWay => ({ inFlight: 0, capacity: 0, left: 0 }))
  if (sum.left-- > 0) return sum
  sum.inFlight = 0
  sum.capacity = 0
  for (const { inFlight, node } of tier.states) {
    sum.inFlight += inFlight
    sum.capacity += node.capacity
  }
  sum.left = Math.floor(tier.states.length * addedShare)
  return sum
}

/** The first in the key's order. */
export function homeOf(tier: Tier, key: number): NodeState | undefined {
  return tier.states.length <= maxRanked ? byRank(tier, key, () => true) : onRing(tier, key, () => true)
}

/** Weighted rendezvous hashing (Thaler and Ravishankar, 1998): each node's rank for the key, the best first. */
function byRank(tier: Tier, key: number, takes: (state: NodeState) => boolean): NodeState | undefined {
  const seeds = tier.derive('seeds', (states) => states.map(({ node }) => hash32(node.id)))
  let best: NodeState | undefined
  let free: NodeState | undefined
  let [bestRank, freeRank] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const [index, state] of tier.states.entries()) {
    const { weight, capacity } = state.node
    const drawn = (mix(key, seeds[index] ?? 0) + 0.5) / 2 ** 32
    const rank = (-weight * capacity) / Math.log(drawn)
    if (rank > bestRank) {
      best = state
      bestRank = rank
    }
    if (rank > freeRank && takes(state)) {
      free = state
      freeRank = rank
    }
  }
  return free ?? best
}

interface Ring {
  readonly points: Uint32Array
  readonly owners: readonly NodeState[]
}

/** Consistent hashing (Karger and others, 1997): points of all nodes on a circle, by weight and capacity. */
function onRing(tier: Tier, key: number, takes: (state: NodeState) => boolean): NodeState | undefined {
  const { points, owners } = tier.derive('ring', ringOf)
  const at = lowerBound(points, mix(key, 0))
  const passed = new Set<NodeState>()
  for (let step = 0; step < owners.length; step++) {
    const state = owners[(at + step) % owners.length]
    if (state === undefined || passed.has(state)) continue
    if (takes(state)) return state
    passed.add(state)
  }
  return owners[at % owners.length]
}

function ringOf(states: readonly NodeState[]): Ring {
  const mean =
    states.reduce((sum, { node }) => sum + node.weight * node.capacity, 0) / Math.max(1, states.length)
  const placed = states.flatMap((state) => {
    const seed = hash32(state.node.id)
    const count = Math.max(1, Math.round((pointsEach * state.node.weight * state.node.capacity) / mean))
    return Array.from({ length: count }, (_, index) => ({ point: mix(seed, index + 1), state }))
  })
  placed.sort((one, other) => one.point - other.point)
  return { points: Uint32Array.from(placed, ({ point }) => point), owners: placed.map(({ state }) => state) }
}

function lowerBound(points: Uint32Array, value: number): number {
  let [from, to] = [0, points.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((points[middle] ?? 0) < value) from = middle + 1
    else to = middle
  }
  return from
}
