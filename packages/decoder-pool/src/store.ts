import type { DecoderNode } from './node.js'

/** A node as the registry holds it. */
export interface Registration {
  readonly node: DecoderNode
  /** Rises with each change of this node, removals included; of two versions of it the higher one is newer. */
  readonly revision: number
}

export interface Snapshot {
  /** Made once for the data; another one means that the data was lost. */
  readonly epoch: string
  /** Rises with each change of any node. */
  readonly version: number
  readonly registrations: readonly Registration[]
  /** Ids whose lease has ended, with how long ago, in milliseconds. */
  readonly expired: ReadonlyMap<string, number>
  /** Removed ids, with the revision of the removal. */
  readonly removed: ReadonlyMap<string, number>
}

export interface PutResult {
  /** The id under which the endpoint is known; another one than given if it was registered before. */
  readonly id: string
  readonly revision: number
  /** The registry's version after it. */
  readonly version: number
  readonly outcome: 'created' | 'updated' | 'renewed' | 'stale'
}

/**
 * Where the registry lives. Each operation is one atomic step, so that coordinators that change it at once
 * never lose each other's nodes; each may be repeated. `testRegistryStore` of
 * `@evenkeel/decoder-pool/testing` proves an implementation.
 */
export interface RegistryStore {
  /**
   * Registers or changes a node and renews its lease. The same endpoint twice is one node; an unchanged
   * one is only renewed. With `revision` (a change that was made elsewhere) it is applied only if it is
   * newer than what is known of the node, its removal included. One round trip.
   */
  put(node: DecoderNode, leaseMs: number, revision?: number): Promise<PutResult>
  /** Renews the lease of a registered node; never creates one. One round trip. */
  renew(id: string, leaseMs: number): Promise<boolean>
  /** Removes a node and remembers that; with `revision` only if that is newer. Gives the version after it. */
  remove(id: string, revision?: number): Promise<{ readonly removed: boolean; readonly version: number }>
  /** Everything, as of one moment. One round trip. */
  snapshot(): Promise<Snapshot>
}
