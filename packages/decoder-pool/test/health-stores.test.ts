import { ManualClock } from '@evenkeel/core'
import { until } from '@evenkeel/test-servers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type HealthStore, MemoryHealthStore, RedisHealthStore, type SharedVerdicts } from '../src/store.js'
import { testHealthStore } from '../src/testing/index.js'
import { onCluster, onEachServer, type Redis, withEachClient } from './servers.js'

const clock = new ManualClock()
const pass = (ms: number) => clock.advance(ms)
const now = () => clock.now()
testHealthStore('memory', {
  create: () => new MemoryHealthStore({ clock }),
  pass,
})

let pools = 0
const onRedis = (redis: Redis) => ({
  create: () => new RedisHealthStore(redis(), `p${pools++}`, { now }),
  pass,
})

/** What two stores must agree on, sorted. Marks may differ between stores. */
function contentOf({ complete, verdicts, probers }: SharedVerdicts) {
  const told = verdicts.map((one) => JSON.stringify(Object.entries(one).sort()))
  return { complete, verdicts: told.sort(), probers: probers.map(({ id }) => id).sort() }
}

onEachServer((redis) => {
  testHealthStore('Redis', onRedis(redis))

  it('answers as memory does to the same random words', async () => {
    const step = fc.record({
      by: fc.constantFrom('one', 'other', 'third'),
      nodes: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }),
      healthy: fc.boolean(),
      forMs: fc.nat(50_000),
      action: fc.constantFrom('tell', 'tell', 'tell', 'listen', 'leave', 'pass'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const shared = new ManualClock()
        const inMemory = new MemoryHealthStore({ clock: shared })
        const inRedis = new RedisHealthStore(redis(), `random-${pools++}`, { now: () => shared.now() })
        const marks: [number?, number?] = []
        for (const { by, nodes, healthy, forMs, action } of steps) {
          const verdicts = nodes.map((node) => ({ node, healthy, forMs }))
          const word = { by, aliveMs: action === 'tell' ? 25_000 : 0, keepMs: 40_000, verdicts }
          const share = (store: HealthStore, mark?: number) => store.share(word, mark)
          if (action === 'pass') shared.advance(10_000)
          else if (action === 'leave') for (const store of [inMemory, inRedis]) await store.leave(by)
          else {
            const answers = [await share(inMemory, marks[0]), await share(inRedis, marks[1])] as const
            expect(contentOf(answers[1])).toEqual(contentOf(answers[0]))
            marks[0] = answers[0].mark
            marks[1] = answers[1].mark
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  it('leaves nothing in Redis when all have gone', async () => {
    const pool = `gone-${pools++}`
    const store = new RedisHealthStore(redis(), pool)
    const word = { by: 'one', aliveMs: 20, keepMs: 20, verdicts: [{ node: 'a', healthy: true, forMs: 0 }] }
    await store.share(word)
    await store.takeTrial('a', 'one', 20)
    const keys = async () => redis().command(['KEYS', `*${pool}*`])
    expect(await keys()).toHaveLength(4)
    await until(async () => String(await keys()) === '', 1_000)
  })

  it('goes by the server’s time', async () => {
    const store = new RedisHealthStore(redis(), `time-${pools++}`)
    const verdicts = [{ node: 'a', healthy: true, forMs: 0 }]
    await store.share({ by: 'one', aliveMs: 20, keepMs: 60_000, verdicts })
    await store.takeTrial('a', 'one', 20)
    const listener = { by: 'listener', aliveMs: 0, keepMs: 60_000, verdicts: [] }
    await until(async () => (await store.share(listener)).probers.length === 0, 1_000)
    await until(async () => (await store.share({ ...listener, keepMs: 40 })).verdicts.length === 0, 1_000)
    await until(() => store.takeTrial('a', 'other', 60_000), 1_000)
    expect(await store.takeTrial('a', 'one', 20)).toBe(false)
  })

  it('does not believe what was told under a clock that was set back since', async () => {
    let now = 1_700_000_000_000
    const store = new RedisHealthStore(redis(), `clock-${pools++}`, { now: () => now })
    const word = { by: 'dead', aliveMs: 60_000, keepMs: 60_000, verdicts: [] }
    await store.share({ ...word, verdicts: [{ node: 'a', healthy: true, forMs: 0 }] })
    now -= 3_600_000
    const { probers, verdicts } = await store.share({ ...word, by: 'alive' })
    expect([probers.map(({ id }) => id), verdicts]).toEqual([['alive'], []])
  })
})

onCluster((redis) => testHealthStore('Redis Cluster', onRedis(redis)))
withEachClient((redis) => testHealthStore('Redis', onRedis(redis)))
