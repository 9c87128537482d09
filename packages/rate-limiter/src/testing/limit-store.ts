import { beforeEach, describe } from 'vitest'
import { testAlgorithms } from './limit-store/algorithms.js'
import { testConcurrency } from './limit-store/concurrency.js'
import { testDecisions } from './limit-store/decisions.js'
import { testReservations } from './limit-store/reservations.js'
import { type LimitStoreHarness, limitSteps } from './limit-store/steps.js'

export type { LimitStoreHarness }

/** What every `LimitStore` must do, as vitest tests. */
export function testLimitStore(name: string, harness: LimitStoreHarness): void {
  describe(`a limit store: ${name}`, () => {
    const steps = limitSteps(harness)
    beforeEach(steps.empty)
    testAlgorithms(steps)
    testDecisions(steps)
    testConcurrency(steps)
    testReservations(steps)
  })
}
