import type { LimitResult } from '../algorithms/meter.js'
import type { Limit } from '../limits.js'

/** One limit of one subject. */
export interface LimitKey {
  readonly subject: string
  /** Names the limit within its limiter; part of its keys. */
  readonly name: string
  readonly limit: Limit
}

/** What a call wants of one limit. */
export interface LimitCost extends LimitKey {
  /** Units; a whole number from 0 to the limit. */
  readonly cost: number
}

/** What a call may ask for besides a plain decision. */
export interface DecisionOptions {
  /**
   * `'book'`: where the call can't be admitted now, it is promised the earliest time at which it can, and
   * charged as of then; where a slot of a `concurrency` is missing, it joins the line.
   * @default 'charge'
   */
  readonly mode?: 'charge' | 'peek' | 'book'
  /** Bookings later than this are denied, and nothing is charged. */
  readonly maxDelayMs?: number
  /** Names the reservation: what it was charged can be settled once, and slots are held under this name. */
  readonly id?: string
  /** How long the reservation stays open to be settled. */
  readonly openMs?: number
  /** The part of each limit that this call may use, per mille. @default 1000 */
  readonly perMille?: number
  /** Units wanted in advance, by cost; a store may give fewer, or none. */
  readonly leaseRequests?: readonly (LeaseRequest | undefined)[] | undefined
}

/** What is decided in one step. */
export interface DecisionRequest {
  readonly limitCosts: readonly LimitCost[]
  readonly options?: DecisionOptions | undefined
}

/** Units of a limit that a call would like to have in advance. */
export interface LeaseRequest {
  readonly units: number
  /** At most what remains divided by this is granted. */
  readonly divisor: number
  /** They are charged as of this much later, and may be spent until then. */
  readonly forMs: number
}

export interface Decision {
  /** `'queued'`: it waits for a slot; {@link LimitStore.watch} tells when to ask again, under the same id. */
  readonly outcome: 'allowed' | 'denied' | 'booked' | 'queued'
  /** How long a subject of the call is blocked still; 0 when none is. */
  readonly blockedForMs: number
  /** How long a booked call must wait. It may start up to 50 ms late; then the booking is void. */
  readonly delayMs: number
  /** Reservations that were found neither settled nor cancelled within their time. */
  readonly abandoned: number
  /** In the order of the costs. */
  readonly results: readonly LimitResult[]
  /** Units of each cost's limit that were leased beyond its cost; left out where no lease was asked for. */
  readonly leased?: readonly number[] | undefined
}

export interface Change extends LimitKey {
  /** Units more (or, negative, fewer) than were charged; for a `concurrency`, minus the slots to give back. */
  readonly change: number
  /** Of the result that it is about. */
  readonly chargedAtMs: number
}

/** Slots that a reservation holds. */
export interface HeldSlot extends LimitKey {
  readonly id: string
  readonly cost: number
}

export interface Settlement {
  readonly id: string
  /** All of the subjects of one call. */
  readonly changes: readonly Change[]
}

/** What a provider said of its own count. */
export interface ProviderReading extends LimitKey {
  readonly remaining: number
  readonly resetMs: number
}

/**
 * Where the counts of limits live. `testLimitStore` of `@evenkeel/rate-limiter/testing` proves an
 * implementation.
 */
export interface LimitStore {
  /**
   * Decides each request in one atomic step and charges its costs, all or none; one request after the
   * other. Two deciders that race for the last unit see one of them allowed. A denied decision and a peek
   * charge nothing. One clock reading holds for all costs of a request. Slots of a `concurrency` are
   * evaluations, but held only under an id.
   */
  decide(requests: readonly DecisionRequest[]): Promise<readonly Decision[]>
  /**
   * Changes what a reservation was charged, once: `false` when it was settled before, or its time is over.
   * Slots are given back in any case. What is more than the limit allows is charged all the same: the debt
   * is paid by waiting.
   */
  settle(settlement: Settlement): Promise<boolean>
  /** Gives back leased units that were not spent. Sent once: what gets lost lapses by itself. */
  giveBack(changes: readonly Change[]): Promise<void>
  /**
   * Holds slots for another lease; `false` for each that is lost. With `adopt` lost ones are held again,
   * even beyond the limit: their holder is at work.
   */
  renew(slots: readonly HeldSlot[], adopt?: boolean): Promise<readonly boolean[]>
  /** Lowers what remains, never raises it. */
  learn(readings: readonly ProviderReading[]): Promise<void>
  /** Denies every call that touches one of these limits for this long; 0 ends it. */
  block(limitKeys: readonly LimitKey[], forMs: number): Promise<void>
  /** Forgets what was charged to these limits, and that they are blocked. */
  reset(limitKeys: readonly LimitKey[]): Promise<void>
  /** Calls back with the id of a waiter whose turn it may be. */
  watch(turn: (id: string) => void): () => void
}
