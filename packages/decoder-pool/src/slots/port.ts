/** A coordinator of the pool. */
export interface Coordinator {
  /** New for each pool object that a process creates. */
  readonly id: string
  readonly region: string | undefined
}

export interface LiveCoordinator extends Coordinator {
  /** Milliseconds that are left of its lease. */
  readonly leftMs: number
}

/** Requests in flight, by node. */
export type SlotCounts = ReadonlyMap<string, number>

/** One request that wants a slot. */
export interface SlotRequest {
  /** Nodes that fit, the best first, with their capacities. */
  readonly candidates: readonly { readonly node: string; readonly capacity: number }[]
  /** Requests with the same requirement compete for the same slots: of those that wait, the oldest comes first. */
  readonly requirement: string
  /** How long it has waited, in milliseconds; `0` for one that has just come. */
  readonly waitedMs: number
}

export interface Batch {
  /** Grows with each batch and heartbeat of a coordinator; what arrives after a later one is refused. */
  readonly sequence: number
  /** What the coordinator holds on nodes where that has changed: the count itself, not the difference. */
  readonly held: SlotCounts
  readonly requests: readonly SlotRequest[]
  /** All its waiting requirements, with how long the oldest request of each has waited, in milliseconds. */
  readonly waiting: SlotCounts
}

export interface BatchResult {
  /** Whether its lease was known. Otherwise nothing was done, and it has to send a heartbeat first. */
  readonly known: boolean
  /** By request: which candidate it was given, `-1` for none. */
  readonly given: readonly number[]
  /** What all coordinators hold on the nodes that were named. */
  readonly totals: SlotCounts
  /** Whether others wait for something. */
  readonly othersWait: boolean
}

export interface HeartbeatReply {
  readonly known: boolean
  /** Coordinators with a live lease, this one included. */
  readonly live: readonly LiveCoordinator[]
  /** What all coordinators hold, on all nodes that have anything. */
  readonly totals: SlotCounts
  /** Whether the store did not know this coordinator, or no lease was live: it may have lost the others too. */
  readonly hadLost: boolean
}

/**
 * Keeps which coordinators are alive, and how many requests each has on each node. A coordinator reports its counts
 * themselves under a lease, and never differences: its next report corrects calls that were lost, repeated or out of
 * order, and the end of its lease releases all that it held. `testSlotStore` of `@evenkeel/decoder-pool/testing` proves
 * an implementation.
 */
export interface SlotStore {
  /**
   * Renews the coordinator's lease and records all that it holds. Reaps coordinators whose lease has ended, unless no
   * lease was live: then the store was away, and the next heartbeat reaps. One round trip; if any are reaped, one more
   * for each and one for the counts. Not `known` if the sequence is old.
   */
  heartbeat(me: Coordinator, sequence: number, held: SlotCounts, leaseMs: number): Promise<HeartbeatReply>
  /** Takes one slot for each request that can get one, in their order. One round trip. */
  take(me: Coordinator, batch: Batch): Promise<BatchResult>
  /** Ends the coordinator's lease, and releases all that it holds. */
  leave(me: Coordinator): Promise<void>
}

/**
 * A slot for which another coordinator's request has waited longer by more than this is kept for that request for this
 * time. So no request is served before one of the same requirement that has waited this much longer, unless that one
 * does not claim its slot.
 */
export const offerMs = 50

/** Time without a heartbeat after which a coordinator counts as dead, and its slots are released. */
export const leaseMs = 5_000
