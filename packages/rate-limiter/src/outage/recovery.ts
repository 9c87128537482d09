import { type RecoverContext, ReplyError, UnavailableError } from '@evenkeel/core'
import { createLog } from '@evenkeel/core/kit'
import type { MemoryLimitStore } from '../stores/memory.js'
import type { HeldSlot, LimitKey, LimitStore, Settlement } from '../stores/port.js'
import type { Instances } from './instances.js'
import { OfflineCharges } from './offline-charges.js'

const log = createLog('rate-limiter')
/** Above this number, the oldest settlements are dropped: what they would have refunded stays charged. */
const maxUnsettled = 10_000
const limitsAtOnce = 100
const settlementsAtOnce = 100
const settleSoonMs = 100

export interface RecoveryHost {
  readonly memory: MemoryLimitStore
  readonly instances: Instances
  /** Slots that this process holds. */
  heldSlots(): readonly HeldSlot[]
  /** Settles once more; a settlement that fails again is added to {@link Recovery} again. */
  settle(settlement: Settlement): Promise<boolean>
  /** Holds slots that Redis has lost. */
  adopt(slots: readonly HeldSlot[]): Promise<unknown>
}

/**
 * Hands over to Redis what this instance did without it: slots and settlements first, then charges, which are sent with
 * a peek at their limit. If Redis has lost its data, all charges that memory still counts are made again.
 */
export class Recovery {
  readonly charges: OfflineCharges
  readonly #host: RecoveryHost
  #unsettled: Settlement[] = []
  #soon: Settlement[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(maxSubjects: number, host: RecoveryHost) {
    this.charges = new OfflineCharges(maxSubjects)
    this.#host = host
  }

  /** Settles when Redis returns. */
  settleOnReturn(settlement: Settlement): void {
    if (this.#unsettled.length >= maxUnsettled) this.#unsettled.shift()
    this.#unsettled.push(settlement)
  }

  /** Settles in a moment what this process was too busy to send. Redis is not away, so no return will trigger it. */
  settleSoon(settlement: Settlement): void {
    if (this.#soon.length >= maxUnsettled) this.#soon.shift()
    this.#soon.push(settlement)
    this.#timer ??= setTimeout(() => void this.#settleNow(), settleSoonMs).unref()
  }

  /** Sends what is left of {@link settleSoon}. */
  async close(): Promise<void> {
    await this.#settleNow()
    clearTimeout(this.#timer)
  }

  /** Runs when Redis is back, before other calls are sent to it. */
  async recover({ primary, progress, handOver }: RecoverContext<LimitStore>): Promise<void> {
    await this.#host.instances.beat()
    const held = this.#host.heldSlots()
    if (held.length > 0) await primary.renew(held, true)
    while (this.#unsettled.length > 0) {
      const some = this.#unsettled.slice(0, settlementsAtOnce)
      await Promise.all(some.map((settlement) => primary.settle(settlement)))
      this.#unsettled.splice(0, some.length)
      progress()
    }
    await this.#tellCharges(primary)
    handOver()
  }

  /** Redis lost its data: charges of this instance that still count are made again, and its slots are held again. */
  chargeAgain(): void {
    this.#chargeAgain(() => true)
    const held = this.#host.heldSlots()
    if (held.length > 0)
      this.#host.adopt(held).catch((error: unknown) => log('slots were not held again: %s', error))
  }

  /** The same for a few limits whose keys could not be read and were deleted. */
  chargeAgainFor(limitKeys: readonly LimitKey[]): void {
    this.#chargeAgain(({ subject, name }) =>
      limitKeys.some((known) => known.subject === subject && known.name === name),
    )
  }

  async #settleNow(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const settlements = this.#soon
    this.#soon = []
    for (let from = 0; from < settlements.length; from += settlementsAtOnce) {
      const some = settlements.slice(from, from + settlementsAtOnce)
      await Promise.all(
        some.map((settlement) =>
          this.#host.settle(settlement).catch((error: unknown) => log('not settled: %s', error)),
        ),
      )
    }
  }

  #chargeAgain(concerns: (limitKey: LimitKey) => boolean): void {
    for (const [limitKey, charges] of this.#host.memory.charges()) {
      if (limitKey.limit.kind !== 'concurrency' && concerns(limitKey)) this.charges.replace(limitKey, charges)
    }
  }

  /** Peeks at the limits: the store sends their charges with the call, and a peek charges nothing itself. */
  async #tellCharges(primary: LimitStore): Promise<void> {
    const limitKeys = this.charges.limitKeys()
    for (let from = 0; from < limitKeys.length; from += limitsAtOnce) {
      const some = limitKeys.slice(from, from + limitsAtOnce)
      await primary.decide(
        some.map((limitKey) => ({ limitCosts: [{ ...limitKey, cost: 0 }], options: { mode: 'peek' } })),
      )
    }
  }
}

/** Whether this process has as many commands in flight as its own limit allows. */
export function isOverload(error: unknown): boolean {
  return UnavailableError.isInstance(error) && error.code === 'OVERLOADED'
}

/** Whether a key holds something that no script of ours wrote: another type, or bytes that can't be unpacked. */
export function isUnreadable(error: unknown): boolean {
  if (!ReplyError.isInstance(error) || !('prefix' in error)) return false
  return error.prefix === 'WRONGTYPE' || /user_script|Error running script|WRONGTYPE/.test(error.message)
}
