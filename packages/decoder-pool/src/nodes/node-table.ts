import type { Registration, RegistryNews } from '../registry/port.js'
import { NodeState } from './node-state.js'

export interface PoolChange {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly updated: readonly string[]
  /** The registry's version. */
  readonly version: number
}

/** The nodes of the pool and this coordinator's knowledge of each, in sync with the registry. */
export class NodeTable {
  readonly #states = new Map<string, NodeState>()
  /** Nodes removed while requests were in flight: if a node comes back meanwhile, those still count. */
  readonly #leaving = new Map<string, NodeState>()
  /** The newest nodes, in the order in which they came. */
  readonly #newcomers = new Set<NodeState>()
  #list: readonly NodeState[] | undefined
  version = 0
  #expired: ReadonlyMap<string, number> = new Map()

  /** In a stable order. Each change makes a new list, so that a list may be kept while choosing. */
  get list(): readonly NodeState[] {
    this.#list ??= [...this.#states.values()]
    return this.#list
  }

  get size(): number {
    return this.#states.size
  }

  /** Number of nodes that have been in the pool for at least this time. */
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

  /** How long ago a node's lease ended, in milliseconds; `undefined` if it has not. */
  expiredForMs(id: string): number | undefined {
    return this.#expired.get(id)
  }

  /** Applies news, and returns what changed, if anything. The cost depends on the news, not on the number of nodes. */
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

  /** Called when a request on the node has ended. */
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
