import { randomUUID } from 'node:crypto'
import { type Clock, InvalidInputError, systemClock } from '@evenkeel/core'
import type { DecoderNode } from '../node.js'
import type { PutResult, Registration, RegistryStore, Snapshot } from '../store.js'

export interface MemoryRegistryStoreOptions {
  /** Nodes, and removals that are remembered. One node more is an error; the oldest removal is forgotten. @default 10_000 */
  readonly maxNodes?: number
  readonly clock?: Clock
}

/** The registry in this process: alone, or as it was known when Redis went away. */
export class MemoryRegistryStore implements RegistryStore {
  readonly #nodes = new Map<string, Registration>()
  readonly #endpoints = new Map<string, string>()
  readonly #leases = new Map<string, number>()
  readonly #removed = new Map<string, number>()
  readonly #maxNodes: number
  readonly #clock: Clock
  #epoch: string = randomUUID()
  #version = 0

  constructor({ maxNodes = 10_000, clock = systemClock }: MemoryRegistryStoreOptions = {}) {
    this.#maxNodes = maxNodes
    this.#clock = clock
  }

  async put(input: DecoderNode, leaseMs: number, given?: number): Promise<PutResult> {
    const id = this.#endpoints.get(input.endpoint) ?? input.id
    const node = { ...input, id }
    const stored = this.#nodes.get(id)
    const newest = Math.max(stored?.revision ?? 0, this.#removed.get(id) ?? 0)
    if (given !== undefined && given <= newest) return this.#result(id, 'stale')
    if (stored === undefined && this.#nodes.size >= this.#maxNodes) {
      throw new InvalidInputError('node', `at most ${this.#maxNodes} nodes`, id)
    }
    this.#leases.set(id, this.#clock.monotonic() + leaseMs)
    if (given === undefined && stored !== undefined && JSON.stringify(stored.node) === JSON.stringify(node)) {
      return this.#result(id, 'renewed')
    }
    if (stored !== undefined) this.#endpoints.delete(stored.node.endpoint)
    this.#nodes.set(id, { node, revision: given ?? newest + 1 })
    this.#endpoints.set(node.endpoint, id)
    this.#removed.delete(id)
    this.#version++
    return this.#result(id, stored === undefined ? 'created' : 'updated')
  }

  async renew(id: string, leaseMs: number): Promise<boolean> {
    if (!this.#nodes.has(id)) return false
    this.#leases.set(id, Math.max(this.#leases.get(id) ?? 0, this.#clock.monotonic() + leaseMs))
    return true
  }

  async remove(id: string, given?: number): Promise<{ removed: boolean; version: number }> {
    const stored = this.#nodes.get(id)
    if (stored === undefined || (given !== undefined && given <= stored.revision)) {
      return { removed: false, version: this.#version }
    }
    this.#nodes.delete(id)
    this.#endpoints.delete(stored.node.endpoint)
    this.#leases.delete(id)
    this.#remember(id, given ?? stored.revision + 1)
    return { removed: true, version: ++this.#version }
  }

  async snapshot(): Promise<Snapshot> {
    const now = this.#clock.monotonic()
    const ended = [...this.#leases].filter(([, expiresAt]) => expiresAt <= now)
    return {
      epoch: this.#epoch,
      version: this.#version,
      registrations: [...this.#nodes.values()],
      expired: new Map(ended.map(([id, expiresAt]) => [id, Math.floor(now - expiresAt)])),
      removed: new Map(this.#removed),
    }
  }

  /** Takes over what Redis holds, so that an outage begins with it. Leases count from now. */
  adopt(snapshot: Snapshot, leaseMs: number): void {
    const expiresAt = this.#clock.monotonic() + leaseMs
    this.#epoch = snapshot.epoch
    this.#version = snapshot.version
    for (const map of [this.#nodes, this.#endpoints, this.#leases, this.#removed]) map.clear()
    for (const registration of snapshot.registrations) {
      const { id, endpoint } = registration.node
      this.#nodes.set(id, registration)
      this.#endpoints.set(endpoint, id)
      this.#leases.set(id, expiresAt)
    }
    for (const [id, revision] of snapshot.removed) this.#remember(id, revision)
  }

  #remember(id: string, revision: number): void {
    this.#removed.set(id, revision)
    const [oldest] = this.#removed.keys()
    if (this.#removed.size > this.#maxNodes && oldest !== undefined) this.#removed.delete(oldest)
  }

  #result(id: string, outcome: PutResult['outcome']): PutResult {
    return { id, outcome, revision: this.#nodes.get(id)?.revision ?? 0, version: this.#version }
  }
}
