import type { NodeState } from '../nodes/node-state.js'
import { type CandidateIndex, Tier } from './candidates.js'
import type { NodeRequirements } from './requirements.js'
import type { Strategy } from './strategy.js'

/** Chooses the node of a request by filters, region, adapter and strategy, among those with a free slot. */
export class Balancer {
  readonly #index: CandidateIndex
  readonly #strategy: Strategy
  readonly #adapterMargin: number
  readonly #random: () => number
  readonly #hasRoom: (state: NodeState) => boolean

  constructor(
    index: CandidateIndex,
    strategy: Strategy,
    adapterMargin: number,
    random: () => number,
    hasRoom: (state: NodeState) => boolean = ({ inFlight, node }) => inFlight < node.capacity,
  ) {
    this.#index = index
    this.#strategy = strategy
    this.#adapterMargin = adapterMargin
    this.#random = random
    this.#hasRoom = hasRoom
  }

  /** `except` are nodes that were tried before. Without `hasRoom`, the last reports say whether a node has room. */
  choose(
    wanted: NodeRequirements,
    now: number,
    except?: ReadonlySet<string>,
    hasRoom = this.#hasRoom,
  ): NodeState | undefined {
    const isFree = (state: NodeState) => hasRoom(state) && except?.has(state.node.id) !== true
    for (const { hot, cold } of this.#index.of(wanted, now).regions) {
      const warm = this.#free(hot, wanted, now, isFree)
      // No load is below 0, so no node without the adapter could be preferred to one this free.
      if (warm !== undefined && (cold.states.length === 0 || warm.loadAt(now) <= this.#adapterMargin))
        return warm
      const other = this.#free(cold, wanted, now, isFree)
      if (warm === undefined || other === undefined) {
        if (warm !== undefined || other !== undefined) return warm ?? other
        continue
      }
      // Loading an adapter costs more than waiting a little for a node that has it.
      return warm.loadAt(now) <= other.loadAt(now) + this.#adapterMargin ? warm : other
    }
    return undefined
  }

  /** Tells the strategy of a given request. Returns what to call when the request has ended. */
  given(state: NodeState, wanted: NodeRequirements): (() => void) | undefined {
    return this.#strategy.given?.(state, wanted)
  }

  #free(
    tier: Tier,
    wanted: NodeRequirements,
    now: number,
    isFree: (state: NodeState) => boolean,
  ): NodeState | undefined {
    if (tier.states.length === 0) return undefined
    const chosen = this.#strategy.choose(tier, wanted, now, this.#random)
    if (chosen !== undefined && isFree(chosen)) return chosen
    // The pool is nearly full, and only a search of all nodes finds the last slot.
    const free = tier.states.filter(isFree)
    return free.length === 0 ? undefined : this.#strategy.choose(new Tier(free), wanted, now, this.#random)
  }
}
