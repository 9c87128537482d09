import { type Connection, connect, ManualClock } from '@evenkeel/core'
import {
  flavours,
  passTime,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemorySemanticIndex } from '../../src/semantic/index/memory.js'
import { MirroredIndex } from '../../src/semantic/index/mirrored.js'
import { hasVectorSets, VectorSetIndex } from '../../src/semantic/index/redis.js'
import { unitVector } from '../../src/semantic/vector.js'
import { testSemanticIndex } from '../../src/testing/index.js'
import { seededRandom } from './labelled-set.js'

const clock = new ManualClock()
testSemanticIndex('memory', {
  create: () => new MemorySemanticIndex({ clock }),
  pass: (ms) => clock.advance(ms),
})

describe.each(flavours())('on $name', (flavour) => {
  let server: RedisServer
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis({ flavour })
    redis = await connect({ url: server.url, commandTimeout: '30s', connectionTimeout: '30s' })
  })
  afterAll(async () => {
    await redis.close()
    await server.close()
  })

  const kinds = flavour.vectorSets ? (['mirrored', 'vector set'] as const) : (['mirrored'] as const)

  it('is known to have vector sets, or not to', async () => {
    expect(await hasVectorSets(redis)).toBe(flavour.vectorSets)
  })

  describe.each(kinds)('%s', (kind) => {
    const create = () => (kind === 'mirrored' ? new MirroredIndex(redis) : new VectorSetIndex(redis))

    testSemanticIndex(kind, {
      create: async () => {
        await server.command('FLUSHALL')
        return create()
      },
      pass: passTime,
    })

    it('finds the nearest of 2,000 nearly always', async () => {
      await server.command('FLUSHALL')
      const [index, exact] = [create(), new MemorySemanticIndex()]
      const place = { tenant: 'n', space: 's', scope: 'many' }
      const random = seededRandom(1)
      const vector = () => unitVector(Array.from({ length: 32 }, () => random() - 0.5))
      const rows = Array.from({ length: 2_000 }, (_, at) => ({ id: `r${at}`, vector: vector(), sheet: 's' }))
      const options = { ttlMs: 60_000, maxRows: 5_000 }
      // Some at a time: behind 2,000 at once the last would wait for longer than its deadline on a busy machine.
      for (let from = 0; from < rows.length; from += 50) {
        await Promise.all(
          rows.slice(from, from + 50).map(async (row) => {
            await index.add(place, row, options)
            await exact.add(place, row, options)
          }),
        )
      }
      let agreed = 0
      for (let at = 0; at < 100; at++) {
        const asked = vector()
        const [found, expected] = await Promise.all([index, exact].map((one) => one.nearest(place, asked, 1)))
        if (found?.[0]?.id === expected?.[0]?.id) agreed++
      }
      expect(agreed).toBeGreaterThanOrEqual(kind === 'mirrored' ? 100 : 90)
    })

    it('leaves no key that never ends', async () => {
      await server.command('FLUSHALL')
      const index = create()
      const place = { tenant: 'n', space: 's', scope: 'c' }
      await index.add(
        place,
        { id: 'x', vector: Float32Array.of(1, 0), sheet: 's' },
        { ttlMs: 60_000, maxRows: 9 },
      )
      await index.observe(place, 'x', { id: 'o', epoch: 1, features: [], similarity: 1, right: true })
      const keys = (await server.command('KEYS', '*')) as string[]
      expect(keys.length).toBeGreaterThan(3)
      for (const key of keys) expect(Number(await server.command('PTTL', key))).toBeGreaterThan(0)
    })

    it('serves what another instance put in, and begins anew when Redis lost everything', async () => {
      await server.command('FLUSHALL')
      const [one, other] = [create(), create()]
      const place = { tenant: 'n', space: 's', scope: 'c' }
      const vector = Float32Array.of(1, 0)
      const ids = async () => (await other.nearest(place, vector, 4)).map(({ id }) => id)
      expect(await ids()).toEqual([])
      await one.add(place, { id: 'x', vector, sheet: 's' }, { ttlMs: 60_000, maxRows: 9 })
      expect(await ids()).toEqual(['x'])
      await server.command('FLUSHALL')
      expect(await ids()).toEqual([])
      await one.add(place, { id: 'y', vector, sheet: 's' }, { ttlMs: 60_000, maxRows: 9 })
      expect(await ids()).toEqual(['y'])
    })

    it('finds what memory finds after the same random calls', async () => {
      const step = fc.record({
        action: fc.constantFrom('add', 'add', 'add', 'remove', 'observe', 'look'),
        id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
        scope: fc.constantFrom('s', 't'),
        angle: fc.integer({ min: 0, max: 359 }),
        maxRows: fc.constantFrom(3, 100),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          await server.command('FLUSHALL')
          const stores = [new MemorySemanticIndex(), create()]
          for (const [at, { action, id, scope, angle, maxRows }] of steps.entries()) {
            const place = { tenant: 'n', space: 's', scope }
            const radians = (angle * Math.PI) / 180
            const vector = Float32Array.of(Math.cos(radians), Math.sin(radians))
            const answers = await Promise.all(
              stores.map(async (store) => {
                // Later rows end later, by more than the two clocks can differ.
                const ttlMs = 600_000 + at * 5_000
                if (action === 'add')
                  await store.add(place, { id, vector, sheet: `${angle}` }, { ttlMs, maxRows })
                if (action === 'remove') await store.remove(place, id)
                if (action === 'observe') {
                  const seen = { id: `o${at}`, epoch: 1, features: [angle], similarity: 0.5, right: true }
                  await store.observe(place, id, seen)
                }
                const found = await store.nearest(place, vector, 8)
                // Rows equally near may come in any order.
                return found
                  .map((row) => ({ ...row, similarity: row.similarity.toFixed(4) }))
                  .sort((one, other) => one.id.localeCompare(other.id))
              }),
            )
            expect(answers[1]).toEqual(answers[0])
          }
        }),
        { numRuns: 25 },
      )
    })
  })
})

describe.each(flavours())('on a Cluster of $name', (flavour) => {
  let cluster: RedisCluster
  let redis: Connection

  beforeAll(async () => {
    cluster = await startCluster({ flavour })
    redis = await connect({
      cluster: { nodes: cluster.rootNodes },
      commandTimeout: '30s',
      connectionTimeout: '30s',
    })
  })
  afterAll(async () => {
    await redis.close()
    await cluster.close()
  })

  testSemanticIndex('Redis Cluster (promise 9)', {
    create: async () => {
      for (const node of cluster.nodes) await node.command('FLUSHALL').catch(() => {})
      return flavour.vectorSets ? new VectorSetIndex(redis) : new MirroredIndex(redis)
    },
    pass: passTime,
  })
})
