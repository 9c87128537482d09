import type { NodeState } from '../nodes/node-state.js'
import { type CandidateIndex, Tier } from './candidates.js'
import type { NodeRequirements } from './requirements.js'
import type { Strategy } from './strategy.js'

/** Which node a request gets: filters, region, adapter, strategy, and a free place. */
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

  /** `except` are nodes that were tried before; without `hasRoom` a node has room as far as was heard. */
  choose(
    wanted: NodeRequirements,
    now: number,
    except?: ReadonlySet<string>,
    hasRoom = this.#hasRoom,
  ): NodeState | undefined {
    const isFree = (state: NodeState) => hasRoom(state) && except?.has(state.node.id) !== true
    for (const { hot, cold } of this.#index.of(wanted, now).regions) {
      const warm = this.#free(hot, wanted, now, isFree)
      // No load is below none, so nothing among the others could be preferred to one this free.
      if (warm !== undefined && (cold.states.length === 0 || warm.loadAt(now) <= this.#adapterMargin))
        return warm
      const other = this.#free(cold, wanted, now, isFree)
      if (warm === undefined || other === undefined) {
        if (warm !== undefined || other !== undefined) return warm ?? other
        continue
      }
      // To load an adapter costs more than to wait a little for a node that has it.
      return warm.loadAt(now) <= other.loadAt(now) + this.#adapterMargin ? warm : other
    }
    return undefined
  }

  /** Gives what to call when the request is over. */
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
    // A pool that is nearly full: then looking at all of it is what finds the last place.
    const free = tier.states.filter(isFree)
    return free.length === 0 ? undefined : this.#strategy.choose(new Tier(free), wanted, now, this.#random)
  }
}
