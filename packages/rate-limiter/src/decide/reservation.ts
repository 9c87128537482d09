import { randomUUID } from 'node:crypto'
import { InvalidInputError } from '@evenkeel/core'
import type { Costs } from '../costs.js'
import type { Change, LimitCost } from '../stores/port.js'
import type { Decider, SourcedDecision } from './decider.js'
import type { RateLimitDecision } from './result.js'
import type { SlotRenewal } from './slot-renewal.js'

/**
 * The charge of a call whose cost is known only afterwards, and the slots that it holds. `await using` releases the
 * slots and keeps the charge.
 */
export interface Reservation<Name extends string> extends RateLimitDecision<Name> {
  /** Aborts when a slot was not renewed in time, so that another holder may have it. */
  readonly signal: AbortSignal
  /**
   * Charges or refunds the difference to the reserved costs, and releases the slots. Only the first call has an effect.
   * Resolves with `false` if it came too late (`reservationTtl`). One round trip; none while Redis is away: then it is
   * sent when Redis returns.
   * @param actual costs by the name of a limit; limits without an entry keep the reserved cost
   * @throws InvalidInputError for a limit that was not reserved, or a cost that is not a whole number from 0
   */
  settle(actual?: Costs<Name>): Promise<boolean>
  /** Refunds everything and releases the slots: the call was not made, or cost nothing. One round trip. */
  cancel(): Promise<boolean>
  [Symbol.asyncDispose](): Promise<void>
}

export interface Grant {
  readonly id: string
  readonly limitCosts: readonly LimitCost[]
  readonly decided: SourcedDecision
}

/** Turns the charge of a decision into a reservation that can be settled. */
export class OpenReservation {
  readonly #decider: Decider
  readonly #slotRenewal: SlotRenewal
  readonly #grant: Grant
  readonly #slots: readonly LimitCost[]
  readonly signal: AbortSignal
  #done: Promise<boolean> | undefined

  constructor(decider: Decider, slotRenewal: SlotRenewal, grant: Grant) {
    const { id, limitCosts } = grant
    this.#decider = decider
    this.#slotRenewal = slotRenewal
    this.#grant = grant
    this.#slots = limitCosts.filter(({ limit, cost }) => limit.kind === 'concurrency' && cost > 0)
    this.signal =
      this.#slots.length > 0
        ? slotRenewal.keep(
            id,
            this.#slots.map((slot) => ({ ...slot, id })),
          )
        : new AbortController().signal
  }

  settle(actual: Costs<string> = {}): Promise<boolean> {
    const { limitCosts } = this.#grant
    if (typeof actual !== 'object' || actual === null)
      return Promise.reject(new InvalidInputError('actual', 'units by the name of a limit', actual))
    for (const [name, cost] of Object.entries(actual)) {
      const isKnown = limitCosts.some(
        (limitCost) => limitCost.name === name && limitCost.limit.kind !== 'concurrency',
      )
      if (!isKnown) return Promise.reject(new InvalidInputError('actual', 'limits that were reserved', name))
      if (typeof cost !== 'number' || !Number.isSafeInteger(cost) || cost < 0)
        return Promise.reject(new InvalidInputError(`actual.${name}`, 'a whole number from 0', cost))
    }
    // A limit may have the name of a member that every object inherits.
    const costOf = ({ name, cost }: LimitCost) =>
      Object.hasOwn(actual, name) ? (actual[name] ?? cost) : cost
    return this.#finish((limitCost) => costOf(limitCost) - limitCost.cost)
  }

  cancel(): Promise<boolean> {
    return this.#finish((limitCost) => -limitCost.cost)
  }

  #finish(changeOf: (limitCost: LimitCost) => number): Promise<boolean> {
    this.#done ??= this.#settleOnce(changeOf)
    return this.#done
  }

  #settleOnce(changeOf: (limitCost: LimitCost) => number): Promise<boolean> {
    const { id, limitCosts, decided } = this.#grant
    if (this.#slots.length > 0) this.#slotRenewal.drop(id)
    const { results } = decided.value
    const changes = limitCosts.map((limitCost, index): Change => {
      const { subject, name, limit, cost } = limitCost
      const change = limit.kind === 'concurrency' ? -cost : changeOf(limitCost)
      return { subject, name, limit, change, chargedAtMs: results[index]?.chargedAtMs ?? 0 }
    })
    return this.#decider.settle({ id, changes }, decided.source, decided.mirroredAtMs)
  }
}

/** The reservation of a denied call: there is nothing to settle. */
const nothing = {
  signal: new AbortController().signal,
  settle: () => Promise.resolve(true),
  cancel: () => Promise.resolve(true),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}

export function asReservation<Name extends string>(
  decision: RateLimitDecision<Name>,
  reserved: OpenReservation | undefined,
): Reservation<Name> {
  if (reserved === undefined) return { ...decision, ...nothing }
  return {
    ...decision,
    signal: reserved.signal,
    settle: (actual) => reserved.settle(actual as Costs<string> | undefined),
    cancel: () => reserved.cancel(),
    async [Symbol.asyncDispose]() {
      await reserved.settle({})
    },
  }
}

export function newReservationId(): string {
  return randomUUID()
}
