import { randomUUID } from 'node:crypto'
import type { Clock } from '@evenkeel/core'
import { systemClock } from '@evenkeel/core/kit'
import type { DecoderNode } from '../nodes/node.js'
import { Leases } from './leases.js'
import {
  maxNodes,
  maxRemoved,
  type PutResult,
  type Registration,
  type RegistryDelta,
  type RegistryNews,
  type RegistrySnapshot,
  type RegistryStore,
  type RemoveResult,
} from './port.js'

export interface MemoryRegistryStoreOptions {
  /** Maximum number of nodes. @default 10_000 */
  readonly maxNodes?: number | undefined
  /** Maximum number of removals that are remembered; the newest stay. @default 1_000 */
  readonly maxRemoved?: number | undefined
  readonly clock?: Clock | undefined
}

/** The registry in this process: alone, or as this coordinator knows the one on Redis. */
export class MemoryRegistryStore implements RegistryStore {
  readonly #nodes = new Map<string, Registration>()
  readonly #endpoints = new Map<string, string>()
  readonly #leases = new Leases()
  /** Ids that may have changed since the last look at the news. */
  readonly #changed = new Set<string>()
  readonly #removed = new Map<string, number>()
  /** Removals that no other store is known to have. */
  readonly #untold = new Set<string>()
  readonly #maxNodes: number
  readonly #maxRemoved: number
  readonly #clock: Clock
  readonly #epoch = randomUUID()
  #version = 0

  constructor(options: MemoryRegistryStoreOptions = {}) {
    this.#maxNodes = options.maxNodes ?? maxNodes
    this.#maxRemoved = options.maxRemoved ?? maxRemoved
    this.#clock = options.clock ?? systemClock
  }

  async put(input: DecoderNode, leaseMs: number, given?: number, base?: number): Promise<PutResult> {
    const id = this.#endpoints.get(input.endpoint) ?? input.id
    const node = { ...input, id }
    const stored = this.#nodes.get(id)
    const newest = this.#newest(id)
    if (base !== undefined && base !== (stored?.revision ?? 0)) return this.#result(id, 'stale')
    if (given !== undefined && given <= newest) return this.#result(id, 'stale')
    if (stored === undefined && this.#nodes.size >= this.#maxNodes) return this.#result(id, 'full')
    this.#leases.set(id, this.#clock.monotonic() + leaseMs)
    if (given === undefined && stored !== undefined && JSON.stringify(stored.node) === JSON.stringify(node)) {
      return this.#result(id, 'renewed')
    }
    this.#store({ node, revision: given ?? Math.max(newest + 1, this.#micros()) })
    this.#version++
    return this.#result(id, stored === undefined ? 'created' : 'updated')
  }

  async renew(ids: readonly string[], leaseMs: number): Promise<readonly string[]> {
    const expiresAt = this.#clock.monotonic() + leaseMs
    const known = ids.filter((id) => this.#nodes.has(id))
    for (const id of known) this.#leases.set(id, Math.max(this.#leases.get(id) ?? 0, expiresAt))
    return ids.filter((id) => !this.#nodes.has(id))
  }

  async remove(id: string, given?: number): Promise<RemoveResult> {
    const isStored = this.#nodes.has(id)
    const newest = this.#newest(id)
    if (given === undefined ? !isStored : given <= newest) {
      return { removed: false, revision: 0, version: this.#version }
    }
    const revision = given ?? Math.max(newest + 1, this.#micros())
    this.#remove(id, revision)
    if (this.#removed.has(id)) this.#untold.add(id)
    if (isStored) this.#version++
    return { removed: isStored, revision, version: this.#version }
  }

  /** Always everything: nothing is sent anywhere. */
  async read(): Promise<RegistrySnapshot> {
    return this.known()
  }

  get(id: string): Registration | undefined {
    return this.#nodes.get(id)
  }

  /** The node of an endpoint. */
  at(endpoint: string): Registration | undefined {
    const id = this.#endpoints.get(endpoint)
    return id === undefined ? undefined : this.#nodes.get(id)
  }

  /** What changed since the last call. The cost depends on the changes, not on the number of nodes. */
  news(): RegistryNews {
    const ids = [...this.#changed]
    this.#changed.clear()
    return {
      registrations: ids.map((id) => this.#nodes.get(id)).filter((one) => one !== undefined),
      gone: ids.filter((id) => !this.#nodes.has(id)),
      version: this.#version,
      expired: this.#leases.ended(this.#clock.monotonic()),
    }
  }

  /** What {@link read} resolves with, at once. */
  known(): RegistrySnapshot {
    return {
      epoch: this.#epoch,
      version: this.#version,
      complete: true,
      registrations: [...this.#nodes.values()],
      removed: new Map(this.#removed),
      expired: this.#leases.ended(this.#clock.monotonic()),
    }
  }

  /**
   * Takes what is newer in another store, node by node. What that store lacks stays, because a node is gone only if it
   * was removed. Returns what is newer here; if the news is not complete, only of the nodes in it.
   */
  merge(
    { complete, registrations, removed }: RegistryDelta & { readonly complete: boolean },
    leaseMs: number,
  ): RegistryDelta {
    const expiresAt = this.#clock.monotonic() + leaseMs
    const theirs = new Map(removed)
    for (const [id, revision] of removed) {
      if (revision >= this.#newest(id)) this.#remove(id, revision)
    }
    for (const registration of registrations) {
      const { id } = registration.node
      theirs.set(id, registration.revision)
      if (registration.revision < this.#newest(id) || !this.#takesEndpoint(registration)) continue
      this.#store(registration)
      this.#leases.set(id, expiresAt)
    }
    return this.#ahead(theirs, complete)
  }

  /** The other store has lost its data: it is sent all removals again. */
  forgetTold(): void {
    for (const id of this.#removed.keys()) this.#untold.add(id)
  }

  /** The other store has got these removals. It need not remember them for ever. */
  told({ removed }: RegistryDelta): void {
    for (const [id, revision] of removed) if (this.#removed.get(id) === revision) this.#untold.delete(id)
  }

  #ahead(theirs: ReadonlyMap<string, number>, isComplete: boolean): RegistryDelta {
    const isNewer = (id: string, revision: number) => {
      const told = theirs.get(id)
      return told === undefined ? isComplete : revision > told
    }
    // If the other store reported only a part, nothing is known of the rest, which is not searched.
    const nodes = isComplete
      ? [...this.#nodes.values()]
      : [...theirs.keys()].map((id) => this.#nodes.get(id)).filter((one) => one !== undefined)
    const removals = isComplete
      ? [...this.#removed]
      : [...theirs.keys()].map((id) => [id, this.#removed.get(id) ?? 0] as const)
    return {
      registrations: nodes.filter(({ node, revision }) => isNewer(node.id, revision)),
      // A removal that the other store has forgotten by now is sent again only if it contradicts a node.
      removed: new Map(
        removals.filter(
          ([id, revision]) => isNewer(id, revision) && (theirs.has(id) || this.#untold.has(id)),
        ),
      ),
    }
  }

  /** If an endpoint was registered under two ids in an outage, the newer registration replaces the other one. */
  #takesEndpoint({ node, revision }: Registration): boolean {
    const other = this.#endpoints.get(node.endpoint)
    if (other === undefined || other === node.id) return true
    if (this.#newest(other) > revision) return false
    this.#nodes.delete(other)
    this.#leases.delete(other)
    this.#changed.add(other)
    return true
  }

  #newest(id: string): number {
    return Math.max(this.#nodes.get(id)?.revision ?? 0, this.#removed.get(id) ?? 0)
  }

  #store(registration: Registration): void {
    const { id, endpoint } = registration.node
    const former = this.#nodes.get(id)
    if (former !== undefined) this.#endpoints.delete(former.node.endpoint)
    this.#nodes.set(id, registration)
    this.#changed.add(id)
    this.#endpoints.set(endpoint, id)
    this.#forget(id)
  }

  #remove(id: string, revision: number): void {
    const stored = this.#nodes.get(id)
    if (stored !== undefined) this.#endpoints.delete(stored.node.endpoint)
    if (this.#nodes.delete(id)) this.#changed.add(id)
    this.#leases.delete(id)
    this.#removed.set(id, revision)
    if (this.#removed.size > this.#maxRemoved) this.#forget(this.#oldestRemoval())
  }

  #forget(id: string): void {
    this.#removed.delete(id)
    this.#untold.delete(id)
  }

  /** Of equally old ones the first by name, as in a sorted set. */
  #oldestRemoval(): string {
    let oldest: readonly [string, number] | undefined
    for (const removal of this.#removed) {
      const [id, revision] = removal
      const [oldestId, least] = oldest ?? ['', Number.POSITIVE_INFINITY]
      if (revision < least || (revision === least && id < oldestId)) oldest = removal
    }
    return oldest?.[0] ?? ''
  }

  /** The wall clock in microseconds, because revisions of all coordinators are compared. */
  #micros(): number {
    return Math.floor(this.#clock.now() * 1_000)
  }

  #result(id: string, outcome: PutResult['outcome']): PutResult {
    return { id, outcome, revision: this.#nodes.get(id)?.revision ?? 0, version: this.#version }
  }
}
