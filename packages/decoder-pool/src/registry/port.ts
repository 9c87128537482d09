import type { DecoderNode } from '../nodes/node.js'

/** A node as the registry holds it. */
export interface Registration {
  readonly node: DecoderNode
  /**
   * Which change of this node it is, removals included: microseconds since 1970 by the clock of the instance that
   * made the change, and always more than the one before. Of two versions of a node the higher one is the newer.
   */
  readonly revision: number
}

/** Up to where a follower has read the registry. */
export interface Position {
  /** Made once for the data; another one means that the data was lost. */
  readonly epoch: string
  /** Rises by one with each change of any node. */
  readonly version: number
}

export interface RegistryDelta {
  readonly registrations: readonly Registration[]
  /** Removed ids, with the revision of the removal. */
  readonly removed: ReadonlyMap<string, number>
}

/** What changed since the last look, as a follower needs it. */
export interface RegistryNews {
  /** New or changed. */
  readonly registrations: readonly Registration[]
  /** Ids that are not there any more. */
  readonly gone: readonly string[]
  /** The registry's version. */
  readonly version: number
  /** All ids whose lease has ended, with how long ago, in milliseconds. */
  readonly expired: ReadonlyMap<string, number>
}

/** What the registry holds, as of one moment. */
export interface RegistrySnapshot extends Position, RegistryDelta {
  /** Whether this is everything; otherwise it is what changed since the position that was asked for. */
  readonly complete: boolean
  /** All ids whose lease has ended, with how long ago, in milliseconds. */
  readonly expired: ReadonlyMap<string, number>
  /** The store's own time in milliseconds, by which leases end; `undefined` if that is this process's time. */
  readonly timeMs?: number | undefined
}

export interface PutResult {
  /** The id under which the endpoint is known: not the given one if it was registered under another before. */
  readonly id: string
  /** The node's revision after the call, `0` if there is no node. */
  readonly revision: number
  /** The registry's version after the call. */
  readonly version: number
  /** `'stale'`: something newer is known. `'full'`: there are {@link maxNodes}. Neither changes anything. */
  readonly outcome: 'created' | 'updated' | 'renewed' | 'stale' | 'full'
}

export interface RemoveResult {
  /** Whether there was a node, which was removed. */
  readonly removed: boolean
  /** Revision of the removal, `0` if nothing was removed or remembered. */
  readonly revision: number
  /** The registry's version after the call. */
  readonly version: number
}

/** A pool holds this many nodes at most. */
export const maxNodes = 10_000

/** Number of removals that are remembered, the newest ones. */
export const maxRemoved = 1_000

/** What is left of a pool without nodes (removals, experiments) is forgotten after this time without a follower. */
export const keepEmptyMs = 30 * 24 * 60 * 60 * 1_000

/**
 * Where the registry lives. Each operation is one atomic step and one round trip, so that coordinators
 * that change it at once never lose each other's nodes; each may be repeated. `testRegistryStore` of
 * `@evenkeel/decoder-pool/testing` proves an implementation.
 */
export interface RegistryStore {
  /**
   * Registers or changes a node and renews its lease. The same endpoint twice is one node; an unchanged
   * one is only renewed. With `revision` (a change that was made elsewhere) it is applied only if it is
   * newer than what is known of the node, its removal included. With `base` (a change of a part of what was
   * read) only if the node still has that revision; otherwise it is `'stale'`.
   */
  put(node: DecoderNode, leaseMs: number, revision?: number, base?: number): Promise<PutResult>
  /** Renews the leases of registered nodes; never creates one. Returns the ids that are not registered. */
  renew(ids: readonly string[], leaseMs: number): Promise<readonly string[]>
  /**
   * Removes a node and remembers that. With `revision` (a removal that was made elsewhere) only if that is
   * newer than what is known; it is then remembered even if there is no such node.
   */
  remove(id: string, revision?: number): Promise<RemoveResult>
  /** What changed since a position, or everything if that is not known or no position is given. */
  read(since?: Position): Promise<RegistrySnapshot>
}
