import { ManualClock } from '@evenkeel/core'
import type { Limit } from '../../limits.js'
import type { DecisionOptions, DecisionRequest, LimitStore } from '../../stores/port.js'

export interface LimitStoreHarness {
  /** Creates an empty store that uses this clock. Keys may expire in real time: the suite's windows last minutes. */
  create(clock: ManualClock): Promise<LimitStore> | LimitStore
}

export type LimitSteps = ReturnType<typeof limitSteps>

/** The store and the clock of the running test, and what the tests do with them. Begin each test with `empty`. */
export function limitSteps(harness: LimitStoreHarness) {
  let clock: ManualClock
  let store: LimitStore

  const limitCost = (limit: Limit, cost = 1, limitName = 'requests') => ({ name: limitName, limit, cost })
  const decideOne = async (request: DecisionRequest) => {
    const [decision] = await store.decide([request])
    if (decision === undefined) throw new Error('A request was not answered')
    return { ...decision, allowed: decision.outcome === 'allowed' }
  }
  const ask = async (
    subject: string,
    limitCosts: readonly ReturnType<typeof limitCost>[],
    options?: DecisionOptions,
  ) => {
    const own = limitCosts.map((one) => ({ ...one, subject }))
    return decideOne({ limitCosts: own, options })
  }
  const decide = (limit: Limit, cost = 1, subject = 'user:1') => ask(subject, [limitCost(limit, cost)])

  return {
    get clock() {
      return clock
    },
    get store() {
      return store
    },
    async empty() {
      clock = new ManualClock()
      store = await harness.create(clock)
    },
    limitCost,
    decideOne,
    ask,
    peek: (subject: string, limitCosts: readonly ReturnType<typeof limitCost>[]) =>
      ask(subject, limitCosts, { mode: 'peek' }),
    decide,
    single: async (limit: Limit, cost = 1) => (await decide(limit, cost)).results[0],
  }
}
