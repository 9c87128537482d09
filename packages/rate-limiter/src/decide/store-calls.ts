import type { Answer, Failover } from '@evenkeel/core'
import { isOutage, notify } from '@evenkeel/core/kit'
import type { ResolvedOptions } from '../options.js'
import { isOverload, isUnreadable, type Recovery } from '../outage/recovery.js'
import type { MemoryLimitStore } from '../stores/memory.js'
import type { Change, Decision, DecisionRequest, LimitStore, Settlement } from '../stores/port.js'
import { blanket } from './result.js'

export interface StoreCallsHost {
  readonly stores: Failover<LimitStore>
  readonly memory: MemoryLimitStore
  readonly recovery: Recovery | undefined
}

/** Sends a limiter's calls to Redis, or to memory while Redis is away, and handles calls that fail. */
export class StoreCalls {
  readonly #options: ResolvedOptions
  readonly #host: StoreCallsHost

  constructor(options: ResolvedOptions, host: StoreCallsHost) {
    this.#options = options
    this.#host = host
  }

  async decide(requests: readonly DecisionRequest[]): Promise<Answer<readonly Decision[]>> {
    const { onOutage, clock } = this.#options
    try {
      return await this.#host.stores.run((store) => store.decide(requests))
    } catch (error) {
      if (requests.length === 1 && isUnreadable(error)) return this.#decideAnew(requests)
      if (!isOutage(error) || (onOutage !== 'allow' && onOutage !== 'deny')) throw error
      const value = requests.map(({ limitCosts }) => blanket(limitCosts, onOutage === 'allow', clock.now()))
      return { value, source: 'memory' }
    }
  }

  /**
   * A key of these limits holds something that no script of ours wrote. Their keys are deleted, because otherwise every
   * call of the subject would fail, and what this instance charged is charged again.
   */
  async #decideAnew(requests: readonly DecisionRequest[]): Promise<Answer<readonly Decision[]>> {
    const limitKeys = requests.flatMap(({ limitCosts }) => limitCosts)
    const { name, redis } = this.#options
    const message = `a counter of the limiter '${name}' held what is none, and begins anew`
    notify(redis?.logger, 'warn', message, 'EVENKEEL_COUNTER_UNREADABLE')
    await this.#host.stores.run((store) =>
      store === this.#host.memory ? Promise.resolve() : store.reset(limitKeys),
    )
    this.#host.recovery?.chargeAgainFor(limitKeys)
    return this.#host.stores.run((store) => store.decide(requests))
  }

  /** A settlement that can't reach Redis now is sent when Redis returns. */
  async settle(settlement: Settlement): Promise<boolean> {
    try {
      const { value, source } = await this.#host.stores.run((store) =>
        store === this.#host.memory ? Promise.resolve(true) : store.settle(settlement),
      )
      if (source === 'memory') this.#host.recovery?.settleOnReturn(settlement)
      return value
    } catch (error) {
      // Slots must be released even if this process is too busy to send now.
      if (isOverload(error)) this.#host.recovery?.settleSoon(settlement)
      else if (isOutage(error)) this.#host.recovery?.settleOnReturn(settlement)
      else throw error
      return true
    }
  }

  /** Sent once: if it does not reach Redis, the charge stays until its time. */
  async giveBack(changes: readonly Change[]): Promise<void> {
    if (this.#host.stores.state !== 'primary') return
    await this.#host.stores
      .run((store) => (store === this.#host.memory ? Promise.resolve() : store.giveBack(changes)))
      .catch(() => {})
  }
}
