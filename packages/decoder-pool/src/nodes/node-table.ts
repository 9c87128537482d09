import type { RegistrySnapshot } from '../registry/port.js'
import { NodeState } from './node-state.js'

export interface PoolChange {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly updated: readonly string[]
  /** The registry's version. */
  readonly version: number
}

/** The nodes of the pool with what this coordinator knows of each, kept in step with the registry. */
export class NodeTable {
  readonly #states = new Map<string, NodeState>()
  /** Removed while requests were under way: should a node come back meanwhile, those still count. */
  readonly #leaving = new Map<string, NodeState>()
  /** In a stable order; another list after each change, so that it may be kept while choosing. */
  list: readonly NodeState[] = []
  version = 0
  #expired: ReadonlyMap<string, number> = new Map()

  get(id: string): NodeState | undefined {
    return this.#states.get(id)
  }

  /** For how long a node's lease has ended, in milliseconds; `undefined` where it has not. */
  expiredForMs(id: string): number | undefined {
    return this.#expired.get(id)
  }

  /** Gives what changed, if anything did. */
  follow({ registrations, version, expired }: RegistrySnapshot, now: number): PoolChange | undefined {
    this.version = version
    this.#expired = expired
    const added: string[] = []
    const updated: string[] = []
    const gone = new Set(this.#states.keys())
    for (const registration of registrations) {
      const { id } = registration.node
      gone.delete(id)
      const state = this.#states.get(id)
      if (state === undefined) {
        this.#add(id, this.#leaving.get(id) ?? new NodeState(registration, now)).update(registration)
        added.push(id)
      } else if (state.update(registration)) updated.push(id)
    }
    for (const id of gone) this.#remove(id)
    if (added.length + updated.length + gone.size === 0) return undefined
    this.list = [...this.#states.values()]
    return { added, updated, removed: [...gone], version }
  }

  /** A request on it has ended. */
  released(state: NodeState): void {
    state.inFlight--
    const { id } = state.node
    if (state.inFlight === 0 && this.#leaving.get(id) === state) this.#leaving.delete(id)
  }

  #add(id: string, state: NodeState): NodeState {
    this.#leaving.delete(id)
    this.#states.set(id, state)
    return state
  }

  #remove(id: string): void {
    const state = this.#states.get(id)
    if (state !== undefined && state.inFlight > 0) this.#leaving.set(id, state)
    this.#states.delete(id)
  }
}
