import type { NodeState } from './node-state.js'

/** What a caller wants of a node. */
export interface Wanted {
  readonly model?: string | undefined
  /** All of them. */
  readonly tags?: readonly string[] | undefined
  /** Nodes that have it loaded are preferred. */
  readonly adapter?: string | undefined
  /** Its nodes are preferred, others are spilled over to. @default the coordinator's own */
  readonly region?: string | undefined
}

/** Which nodes may serve the wish at all, by what they are; independent of how they are. */
export function matching(states: readonly NodeState[], { model, tags = [] }: Wanted): readonly NodeState[] {
  return states.filter(({ node }) => {
    if (node.draining) return false
    if (model !== undefined && node.model !== undefined && node.model !== model) return false
    return tags.every((tag) => node.tags.includes(tag))
  })
}

/**
 * Those in service. When more than half are out, they are all used: so many at once rather means that
 * this coordinator sees badly than that the pool is gone (Envoy's panic threshold).
 */
export function inService(states: readonly NodeState[], now: number): readonly NodeState[] {
  const usable = states.filter((state) => state.healthy && !state.isEjected(now))
  return usable.length * 2 >= states.length ? usable : states
}

/** Those with a free slot: of the wanted region if there are any, and of these with the adapter loaded if there are any. */
export function preferred(states: readonly NodeState[], { adapter, region }: Wanted): readonly NodeState[] {
  const free = states.filter((state) => state.inFlight < state.node.capacity)
  const near =
    region === undefined
      ? free
      : orElse(
          free.filter(({ node }) => node.region === region),
          free,
        )
  return adapter === undefined
    ? near
    : orElse(
        near.filter(({ node }) => node.adapters.includes(adapter)),
        near,
      )
}

/**
 * Least loaded of two drawn at random (Mitzenmacher, 2001): nearly as even as looking at all, in constant
 * time, and without the herd that many coordinators with the same stale view would make of one node.
 */
export function leastLoadedOfTwo(states: readonly NodeState[], random: () => number): NodeState | undefined {
  const count = states.length
  const index = Math.floor(random() * count)
  const first = states[index]
  if (first === undefined || count === 1) return first
  // Drawn from the others, so that it is never the same one.
  const offset = 1 + Math.floor(random() * (count - 1))
  const second = states[(index + offset) % count]
  if (second === undefined) return first
  return second.load < first.load ? second : first
}

function orElse<T>(some: readonly T[], all: readonly T[]): readonly T[] {
  return some.length > 0 ? some : all
}
