import type { NodeState } from '../nodes/node-state.js'
import { type NodeRequirements, requirementKey } from './requirements.js'

/** Nodes that are equally good for a requirement, as far as filters tell. */
export class Tier {
  readonly states: readonly NodeState[]
  /** What strategies compute once for the same nodes. */
  readonly derived = new Map<string, unknown>()

  constructor(states: readonly NodeState[]) {
    this.states = states
  }

  derive<T>(name: string, make: (states: readonly NodeState[]) => T): T {
    const known = this.derived.get(name)
    if (known !== undefined) return known as T
    const made = make(this.states)
    this.derived.set(name, made)
    return made
  }
}

/** Nodes for a requirement, the preferred region first; within a region those with the adapter, then the others. */
export interface Candidates {
  readonly regions: readonly { readonly hot: Tier; readonly cold: Tier }[]
  /** More than half of the nodes that fit are out of service, so all of them are used. */
  readonly isPanic: boolean
}

const maxRequirements = 256

/**
 * The candidates of each requirement, computed once and kept until a node comes, goes, changes or goes out of service,
 * so that a choice costs the same with ten nodes and with ten thousand. They do not depend on load.
 */
export class CandidateIndex {
  readonly #states: () => readonly NodeState[]
  readonly #homeRegion: string | undefined
  readonly #onTrialDue: (state: NodeState, now: number) => void
  readonly #known = new Map<string, Candidates>()
  /** When the next ejection or push-back ends, which changes the candidates. */
  #validUntil = Number.POSITIVE_INFINITY

  /** `onTrialDue` is called with nodes whose ejection is over: a trial decides whether they are used again. */
  constructor(
    states: () => readonly NodeState[],
    homeRegion: string | undefined,
    onTrialDue: (state: NodeState, now: number) => void = () => {},
  ) {
    this.#states = states
    this.#homeRegion = homeRegion
    this.#onTrialDue = onTrialDue
  }

  /** Something about which nodes are in service has changed. */
  invalidate(): void {
    this.#known.clear()
    this.#validUntil = Number.POSITIVE_INFINITY
  }

  of(wanted: NodeRequirements, now: number): Candidates {
    if (now >= this.#validUntil) this.invalidate()
    const requirement = requirementKey(wanted)
    const known = this.#known.get(requirement)
    if (known !== undefined) return known
    const [oldest] = this.#known.keys()
    if (this.#known.size >= maxRequirements && oldest !== undefined) this.#known.delete(oldest)
    const made = this.#make(wanted, now)
    this.#known.set(requirement, made)
    return made
  }

  #make(wanted: NodeRequirements, now: number): Candidates {
    const fitting = matching(this.#states(), wanted)
    for (const state of fitting) {
      if (state.ejection.trial === 'due') this.#onTrialDue(state, now)
      for (const moment of [state.ejection.until, state.pushedBackUntil]) {
        if (moment > now) this.#validUntil = Math.min(this.#validUntil, moment)
      }
    }
    const { usable: inUse, isPanic } = inService(fitting, now)
    // A node that pushed back is full, not out of service, so it is left out only after the panic check.
    const usable = inUse.filter((state) => state.pushedBackUntil <= now)
    const region = wanted.region ?? this.#homeRegion
    const isNear = ({ node }: NodeState) => node.region === region
    const isHot = ({ node }: NodeState) =>
      wanted.adapter === undefined || node.adapters.includes(wanted.adapter)
    const byRegion =
      region === undefined
        ? [usable]
        : [usable.filter(isNear), usable.filter((state) => !isNear(state))].filter(
            (states) => states.length > 0,
          )
    return {
      isPanic,
      regions: byRegion.map((states) => ({
        hot: new Tier(states.filter(isHot)),
        cold: new Tier(states.filter((state) => !isHot(state))),
      })),
    }
  }
}

/** The nodes that may serve the requirement by their registration, whatever their health and load. */
export function matching(
  states: readonly NodeState[],
  { model, tags = [] }: NodeRequirements,
): readonly NodeState[] {
  return states.filter(({ node }) => {
    if (node.draining) return false
    if (model !== undefined && node.model !== undefined && node.model !== model) return false
    return tags.every((tag) => node.tags.includes(tag))
  })
}

/**
 * The nodes in service, or all if more than half are out: that many at once rather mean that this coordinator can't
 * reach them than that the pool is gone (Envoy's panic threshold).
 */
export function inService(
  states: readonly NodeState[],
  now: number,
): { readonly usable: readonly NodeState[]; readonly isPanic: boolean } {
  const serving = states.filter((state) => state.isServing(now))
  const isPanic = serving.length * 2 < states.length
  return { usable: isPanic ? states : serving, isPanic }
}
