import type { Registration, RegistryNews } from '../registry/port.js'
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
  /** The newest of them, in the order in which they came. */
  readonly #newcomers = new Set<NodeState>()
  #list: readonly NodeState[] | undefined
  version = 0
  #expired: ReadonlyMap<string, number> = new Map()

  /** In a stable order; another list after each change, so that it may be kept while choosing. */
  get list(): readonly NodeState[] {
    this.#list ??= [...this.#states.values()]
    return this.#list
  }

  get size(): number {
    return this.#states.size
  }

  /** How many have been in the pool for at least this time. */
  settled(now: number, ms: number): number {
    for (const state of this.#newcomers) {
      if (now - state.joinedAt < ms) break
      this.#newcomers.delete(state)
    }
    return this.#states.size - this.#newcomers.size
  }

  get(id: string): NodeState | undefined {
    return this.#states.get(id)
  }

  /** For how long a node's lease has ended, in milliseconds; `undefined` where it has not. */
  expiredForMs(id: string): number | undefined {
    return this.#expired.get(id)
  }

  /** Gives what changed, if anything did. Costs what is new, however many nodes there are. */
  follow({ registrations, gone, version, expired }: RegistryNews, now: number): PoolChange | undefined {
    this.version = version
    this.#expired = expired
    const added: string[] = []
    const updated: string[] = []
    for (const registration of registrations) {
      const { id } = registration.node
      const state = this.#states.get(id)
      if (state === undefined) {
        this.#add(id, registration, now)
        added.push(id)
      } else if (state.update(registration)) updated.push(id)
    }
    const removed = gone.filter((id) => this.#remove(id))
    if (added.length + updated.length + removed.length === 0) return undefined
    this.#list = undefined
    return { added, updated, removed, version }
  }

  /** A request on it has ended. */
  released(state: NodeState): void {
    state.inFlight--
    const { id } = state.node
    if (state.inFlight === 0 && this.#leaving.get(id) === state) this.#leaving.delete(id)
  }

  #add(id: string, registration: Registration, now: number): void {
    const leaving = this.#leaving.get(id)
    this.#leaving.delete(id)
    leaving?.update(registration)
    const state = leaving ?? new NodeState(registration, now)
    if (leaving === undefined) this.#newcomers.add(state)
    this.#states.set(id, state)
  }

  #remove(id: string): boolean {
    const state = this.#states.get(id)
    if (state === undefined) return false
    if (state.inFlight > 0) this.#leaving.set(id, state)
    this.#newcomers.delete(state)
    return this.#states.delete(id)
  }
}
