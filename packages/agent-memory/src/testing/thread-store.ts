import { beforeEach, describe } from 'vitest'
import { testChanges } from './thread-store/changes.js'
import { testConditions } from './thread-store/conditions.js'
import { testLifetimes } from './thread-store/lifetimes.js'
import { testMessages } from './thread-store/messages.js'
import { testOwners } from './thread-store/owners.js'
import { testReading } from './thread-store/reading.js'
import { type ThreadStoreHarness, threadSteps } from './thread-store/steps.js'
import { testValues } from './thread-store/values.js'

export type { ThreadStoreHarness }

/** What every `ThreadStore` must do, as vitest tests. */
export function testThreadStore(name: string, harness: ThreadStoreHarness): void {
  describe(`a thread store: ${name}`, () => {
    const steps = threadSteps(harness)
    beforeEach(steps.empty)
    testMessages(steps)
    testLifetimes(steps)
    testChanges(steps)
    testConditions(steps)
    testValues(steps)
    testReading(steps)
    testOwners(steps)
  })
}
