import { ManualClock } from '@evenkeel/core'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { armOf } from '../src/experiments/assign.js'
import { checkExperiment, type ExperimentInput } from '../src/experiments/experiment.js'
import { type ExperimentStore, MemoryExperimentStore, RedisExperimentStore } from '../src/store.js'
import { testExperimentStore } from '../src/testing/index.js'
import { node, useCoordinators } from './pools.js'
import { onCluster, onEachServer, type Redis, withEachClient } from './servers.js'

const { create, join } = useCoordinators()
const input = (own: Partial<ExperimentInput> = {}): ExperimentInput => ({
  id: 'x',
  languagePair: 'en-de',
  trafficPercentage: 10,
  experimentTags: ['v2'],
  controlTags: ['v1'],
  ...own,
})
const experiment = (own: Partial<ExperimentInput> = {}) => checkExperiment(input(own))
const units = Array.from({ length: 100_000 }, (_, index) => `user:${index}`)
const partOf = (own: Partial<ExperimentInput>) =>
  units.filter((unit) => armOf(experiment(own), unit) === 'experiment')

describe('arms', () => {
  it.each([0, 1, 10, 33.3, 50, 99.9, 100])(
    'have their share of 100,000 units within half a percent: %d',
    (trafficPercentage) => {
      expect((partOf({ trafficPercentage }).length / units.length) * 100).toBeGreaterThan(
        trafficPercentage - 0.5,
      )
      expect((partOf({ trafficPercentage }).length / units.length) * 100).toBeLessThan(
        trafficPercentage + 0.5,
      )
    },
  )

  it('keep their units while the experiment is unchanged, and a raise moves nobody out', () => {
    const ten = partOf({ trafficPercentage: 10 })
    expect(partOf({ trafficPercentage: 10 })).toEqual(ten)
    const twenty = new Set(partOf({ trafficPercentage: 20 }))
    expect(ten.every((unit) => twenty.has(unit))).toBe(true)
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 100, noNaN: true }),
        fc.double({ min: 0, max: 100, noNaN: true }),
        fc.string(),
        (one, other, unit) => {
          const [less, more] = [Math.min(one, other), Math.max(one, other)]
          if (armOf(experiment({ trafficPercentage: less }), unit) === 'experiment') {
            expect(armOf(experiment({ trafficPercentage: more }), unit)).toBe('experiment')
          }
        },
      ),
    )
  })

  it('of two experiments, and after another salt, are drawn independently', () => {
    const ten = new Set(partOf({ trafficPercentage: 10 }))
    for (const other of [
      partOf({ trafficPercentage: 10, id: 'y' }),
      partOf({ trafficPercentage: 10, salt: '2' }),
    ]) {
      const both = other.filter((unit) => ten.has(unit)).length
      expect(both).toBeGreaterThan(850)
      expect(both).toBeLessThan(1_150)
    }
  })
})

describe('an experiment', () => {
  it('keeps a unit with the nodes of its arm, counts whom it served, and says where it diverted', async () => {
    const pool = await create()
    for (const version of ['v1', 'v2'])
      await pool.register(node(version, { tags: [version], capacity: 1_000 }))
    await pool.experiments.put(input({ trafficPercentage: 50 }))
    for (const unit of units.slice(0, 200)) {
      const lease = await pool.acquire({ languagePair: 'en-de', unit })
      expect(lease.node.id).toBe(lease.experiment?.arm === 'experiment' ? 'v2' : 'v1')
      lease.release({ ok: true })
    }
    const again = await pool.acquire({ languagePair: 'en-de', unit: 'user:0' })
    const counts = pool.experiments.exposures()
    expect(counts.reduce((sum, one) => sum + one.units, 0)).toBe(200)
    expect(counts.reduce((sum, one) => sum + one.requests, 0)).toBe(201)
    again.release({ ok: true })
    expect((await pool.acquire({ languagePair: 'en-fr', unit: 'user:0' })).experiment).toBeUndefined()
    expect((await pool.acquire({ languagePair: 'en-de' })).experiment).toBeUndefined()
    await pool.deregister('v2')
    const unit = units.find((one) => pool.experiments.assign('en-de', one)?.arm === 'experiment') ?? ''
    expect(await pool.acquire({ languagePair: 'en-de', unit })).toMatchObject({
      node: { id: 'v1' },
      experiment: { arm: 'experiment', diverted: true },
    })
  })

  it.each([
    [{ trafficPercentage: 101 }, 'trafficPercentage'],
    [{ trafficPercentage: -1 }, 'trafficPercentage'],
    [{ trafficPercentage: Number.NaN }, 'trafficPercentage'],
    [{ experimentTags: [] }, 'experimentTags'],
    [{ experimentTags: [''] }, 'experimentTags'],
    [{ id: '' }, 'id'],
    [{ languagePair: '' }, 'languagePair'],
    [{ active: 'yes' as unknown as boolean }, 'active'],
  ])('of %j is refused', async (own, field) => {
    const pool = await create()
    await expect(pool.experiments.put(input(own))).rejects.toMatchObject({ code: 'INVALID_INPUT', field })
    expect(pool.experiments.list()).toEqual([])
  })

  it('that overlaps with another active one is refused', async () => {
    const pool = await create()
    await pool.experiments.put(input())
    await expect(pool.experiments.put(input({ id: 'y' }))).rejects.toMatchObject({ field: 'languagePair' })
    await pool.experiments.put(input({ id: 'y', active: false }))
    await pool.experiments.put(input({ active: false }))
    await pool.experiments.put(input({ id: 'y' }))
    expect(pool.experiments.assign('en-de', 'u')?.experiment).toBe('y')
    expect(await pool.experiments.remove('y')).toBe(true)
    expect(await pool.experiments.remove('y')).toBe(false)
    expect(pool.experiments.assign('en-de', 'u')).toBeUndefined()
  })
})

const steps = fc.array(
  fc.record({
    action: fc.constantFrom('put', 'put', 'remove'),
    id: fc.constantFrom('a', 'b', 'c'),
    languagePair: fc.constantFrom('en-de', 'en-"fr'),
    active: fc.boolean(),
    revision: fc.integer({ min: 1, max: 20 }),
  }),
  { maxLength: 25 },
)

/** Checks that both stores return and contain the same. */
async function differ(redis: () => Promise<ExperimentStore>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const stores: ExperimentStore[] = [
        new MemoryExperimentStore({ clock: new ManualClock() }),
        await redis(),
      ]
      for (const { action, id, languagePair, active, revision } of all) {
        const [one, other] = await Promise.all(
          stores.map(async (store) => [
            action === 'put'
              ? await store.put(experiment({ id, languagePair, active }), revision)
              : await store.remove(id, revision),
            [...(await store.list())].sort((a, b) => (a.id < b.id ? -1 : 1)),
          ]),
        )
        expect(other).toEqual(one)
      }
    }),
    { numRuns: 40 },
  )
}

let pools = 0
testExperimentStore('memory', { create: () => new MemoryExperimentStore({ clock: new ManualClock() }) })

describe('shared by Redis', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  it('two coordinators agree on experiments, through an outage too', async () => {
    await server.command('FLUSHALL')
    const one = await join(server.url)
    const two = await join(server.url)
    await one.pool.experiments.put(input({ id: 'a' }))
    await until(() => two.pool.experiments.assign('en-de', 'u') !== undefined, 5_000)
    server.freeze()
    await two.pool.experiments.put(input({ id: 'b', languagePair: 'en-fr' }))
    await one.pool.experiments.remove('a')
    server.resume()
    await until(() => one.pool.experiments.assign('en-fr', 'u') !== undefined, 5_000)
    await until(() => two.pool.experiments.assign('en-de', 'u') === undefined, 5_000)
    // Redis loses the experiment, and gets it back from the coordinators.
    await server.command('FLUSHALL')
    const three = await join(server.url)
    await until(() => three.pool.experiments.assign('en-fr', 'u') !== undefined, 5_000)
  })
})

const onRedis = (redis: Redis) => ({ create: () => new RedisExperimentStore(redis(), `p${pools++}`) })
onEachServer((redis) => {
  testExperimentStore('Redis', onRedis(redis))

  it('experiments are stored as in memory, whatever is done', () =>
    differ(async () => onRedis(redis).create()))
})
onCluster((redis) => testExperimentStore('Redis Cluster', onRedis(redis)))
withEachClient((redis) => testExperimentStore('Redis', onRedis(redis)))
