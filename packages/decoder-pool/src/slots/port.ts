/** A coordinator of the pool. */
export interface Coordinator {
  /** Made anew with each start of a process. */
  readonly id: string
  readonly region: string | undefined
}

export interface LiveCoordinator extends Coordinator {
  /** Of its lease, in milliseconds. */
  readonly leftMs: number
}

/** Requests under way, by node. */
export type SlotCounts = ReadonlyMap<string, number>

/** One request that wants a slot. */
export interface SlotRequest {
  /** Nodes that would do, the best first, with how many requests each takes in all. */
  readonly candidates: readonly { readonly node: string; readonly capacity: number }[]
  /** Requests of one requirement take each other's places: of those that wait the oldest comes first. */
  readonly requirement: string
  /** How long it has waited, in milliseconds; `0` for one that has just come. */
  readonly waitedMs: number
}

export interface Batch {
  /** Rises with each batch and heartbeat of a coordinator; what comes after a later one is refused. */
  readonly sequence: number
  /** What the coordinator holds on nodes where that has changed: the count itself, not by how much. */
  readonly held: SlotCounts
  readonly requests: readonly SlotRequest[]
  /** Its requirements that wait, with how long the oldest of each has, in milliseconds; those that are not named wait no more. */
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
  /** Whose lease lives, this coordinator's included. */
  readonly live: readonly LiveCoordinator[]
  /** What all coordinators hold, on all nodes that have anything. */
  readonly totals: SlotCounts
  /** Whether the store did not know the coordinator before, or no lease lived: it may have lost the other coordinators. */
  readonly hadLost: boolean
}

/**
 * Which coordinators live, and how many requests each has on each node. A coordinator tells its own counts as
 * they are, under a lease of its own, and never by how much they changed: what was lost, repeated or out of
 * order is healed by its next word, and the end of its lease gives back all that it held. `testSlotStore` of
 * `@evenkeel/decoder-pool/testing` proves an implementation.
 */
export interface SlotStore {
  /**
   * Renews the coordinator's lease and tells all that it holds, and reaps those whose lease has ended, unless no
   * lease lived before: then the store was away, and the next one reaps. One round
   * trip, and two more for each that is reaped. Not `known` where the sequence is an old one.
   */
  heartbeat(me: Coordinator, sequence: number, held: SlotCounts, leaseMs: number): Promise<HeartbeatReply>
  /** Takes slots for requests, in their order, each all or none. One round trip. */
  take(me: Coordinator, batch: Batch): Promise<BatchResult>
  /** The coordinator ends, and gives back all that it holds. */
  leave(me: Coordinator): Promise<void>
}

/**
 * A slot for which a request of another coordinator has waited longer by more than this is kept for it so long. So
 * no request is served before one of the same requirement that has waited this much longer, unless that one does not claim its slot.
 */
export const offerMs = 50

/** Time without a heartbeat after which a coordinator has died, and what it held is given back. */
export const leaseMs = 5_000
