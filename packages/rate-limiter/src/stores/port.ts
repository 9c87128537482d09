import type { LimitResult } from '../algorithms/meter.js'
import type { Limit } from '../limits.js'

/** One limit of one subject. */
export interface LimitKey {
  readonly subject: string
  /** The limit's name within its limiter; part of its keys. */
  readonly name: string
  readonly limit: Limit
}

/** What a call costs of one limit. */
export interface LimitCost extends LimitKey {
  /** Units: a whole number from 0 to the limit. */
  readonly cost: number
}

/** How a call is decided, beyond its costs. */
export interface DecisionOptions {
  /**
   * `'book'`: a call that can't be admitted now is given the earliest time at which it can, and is charged as of that
   * time. If a slot of a `concurrency` is missing, it joins the queue.
   * @default 'charge'
   */
  readonly mode?: 'charge' | 'peek' | 'book'
  /** A booking that would have to wait longer is denied, and nothing is charged. */
  readonly maxDelayMs?: number
  /** Identifies the reservation: its charge can be settled once, and its slots are held under this id. */
  readonly id?: string
  /** How long the reservation stays open to be settled. */
  readonly openMs?: number
  /** The part of each limit that this call may use, per mille. @default 1000 */
  readonly perMille?: number
  /** Units to lease, for each cost. A store may grant fewer, or none. */
  readonly leaseRequests?: readonly (LeaseRequest | undefined)[] | undefined
}

/** Costs that are decided in one atomic step. */
export interface DecisionRequest {
  readonly limitCosts: readonly LimitCost[]
  readonly options?: DecisionOptions | undefined
}

/** Units of a limit to take in advance, together with a call. */
export interface LeaseRequest {
  readonly units: number
  /** At most the remaining units divided by this are granted. */
  readonly divisor: number
  /** Milliseconds for which the units may be spent. They are charged as of the end of that time. */
  readonly forMs: number
}

export interface Decision {
  /** `'queued'`: the call waits for a slot; {@link LimitStore.watch} reports when to ask again, with the same id. */
  readonly outcome: 'allowed' | 'denied' | 'booked' | 'queued'
  /** For how many milliseconds a subject of the call is still blocked; 0 if none is. */
  readonly blockedForMs: number
  /** Milliseconds that a booked call must wait. If it starts more than 50 ms late, the booking is void. */
  readonly delayMs: number
  /** Number of reservations found to be neither settled nor cancelled in time. */
  readonly abandoned: number
  /** One result for each cost, in the same order. */
  readonly results: readonly LimitResult[]
  /** Units leased beyond each cost; `undefined` if no lease was requested. */
  readonly leased?: readonly number[] | undefined
}

export interface Change extends LimitKey {
  /** Units to charge (or refund, if negative); for a `concurrency`, minus the number of slots to release. */
  readonly change: number
  /** `chargedAtMs` of the result that this changes. */
  readonly chargedAtMs: number
}

/** Slots that a reservation holds. */
export interface HeldSlot extends LimitKey {
  readonly id: string
  readonly cost: number
}

export interface Settlement {
  readonly id: string
  /** The changes of all subjects of one call. */
  readonly changes: readonly Change[]
}

/** What a provider reported about its own count. */
export interface ProviderReading extends LimitKey {
  readonly remaining: number
  readonly resetMs: number
}

/**
 * A store for the counts of limits. `testLimitStore` of `@evenkeel/rate-limiter/testing` tests an
 * implementation.
 */
export interface LimitStore {
  /**
   * Decides the requests one after the other. Each is one atomic step that charges all of its costs or none. If two
   * callers compete for the last unit, one is admitted. A denied decision and a peek charge nothing. All costs of a
   * request are decided at the same time of the clock. Slots of a `concurrency` are checked, but held only under an
   * id.
   */
  decide(requests: readonly DecisionRequest[]): Promise<readonly Decision[]>
  /**
   * Changes the charge of a reservation, once. Resolves with `false` if it was already settled, or if its time is over.
   * Slots are released in any case. More than the limit allows may be charged: the subject then waits until the
   * debt is paid.
   */
  settle(settlement: Settlement): Promise<boolean>
  /** Returns units that were not spent. Sent once: if that fails, they stay charged until their charge expires. */
  giveBack(changes: readonly Change[]): Promise<void>
  /**
   * Renews slots for another lease; `false` for each slot that is lost. With `adopt`, lost slots are held again, even
   * beyond the limit, because their holder is still at work.
   */
  renew(slots: readonly HeldSlot[], adopt?: boolean): Promise<readonly boolean[]>
  /** Lowers the remaining units, never raises them. */
  learn(readings: readonly ProviderReading[]): Promise<void>
  /** Denies all calls that use one of these limits for `forMs`; 0 ends the block. */
  block(limitKeys: readonly LimitKey[], forMs: number): Promise<void>
  /** Removes the charges and the block of these limits. */
  reset(limitKeys: readonly LimitKey[]): Promise<void>
  /** Calls back with the id of a waiting call whose turn may have come, until the returned function is called. */
  watch(turn: (id: string) => void): () => void
}
