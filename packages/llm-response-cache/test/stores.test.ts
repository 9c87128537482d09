import { type Connection, connect, ManualClock } from '@evenkeel/core'
import {
  clientLibraries,
  flavours,
  passTime,
  type RawClient,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { EntrySealer } from '../src/entry/encryption.js'
import {
  createRedisStores,
  type EntryStore,
  type FlightStore,
  MemoryEntryStore,
  MemoryFlightStore,
} from '../src/store.js'
import { sampleEntry, testEntryStore, testFlightStore } from '../src/testing/index.js'

interface Stores {
  readonly entries: EntryStore
  readonly flights: FlightStore
}

function memoryStores(clock?: ManualClock): Stores {
  const entries = new MemoryEntryStore({ clock })
  return { entries, flights: new MemoryFlightStore(entries, clock) }
}

const clock = new ManualClock()
const memory = { pass: (ms: number) => clock.advance(ms) }
testEntryStore('memory', { ...memory, create: () => memoryStores(clock).entries })
testFlightStore('memory', { ...memory, create: () => memoryStores(clock) })

/** Both suites on one connection. */
function testBoth(name: string, stores: () => Promise<Stores>): void {
  testEntryStore(name, { pass: passTime, create: async () => (await stores()).entries })
  testFlightStore(name, { pass: passTime, create: stores })
}

const steps = fc.array(
  fc.record({
    action: fc.constantFrom(
      ...([
        'write',
        'writeOnce',
        'sight',
        'delete',
        'invalidate',
        'begin',
        'begin',
        'append',
        'commit',
        'fail',
        'handOver',
        'void',
        'wereDeleted',
      ] as const),
    ),
    tenant: fc.constantFrom('a', 'b/{c}'),
    name: fc.constantFrom('x', 'y'),
    text: fc.string({ maxLength: 20 }),
    generation: fc.constantFrom('g1', 'g2', 'g3'),
    id: fc.constantFrom('', '00000001', '00000002'),
    published: fc.boolean(),
  }),
  { maxLength: 40 },
)
type Step = typeof steps extends fc.Arbitrary<(infer S)[]> ? S : never

/** What one store says to one call, and what can be seen after it. */
async function take({ entries, flights }: Stores, step: Step): Promise<unknown> {
  const { action, tenant, name, text, generation, published } = step
  const entryKey = { tenant, name }
  const entry = sampleEntry(text, { id: step.id || '00000003' })
  const options = { ttlMs: 60_000 }
  const answer = async (): Promise<unknown> => {
    switch (action) {
      case 'write':
        return entries.write(entryKey, entry, options)
      case 'writeOnce':
        return entries.write(entryKey, entry, { ...options, onlyIfAbsent: true })
      case 'sight':
        return entries.write(entryKey, entry, { ...options, admitWithinMs: 60_000 })
      case 'delete':
        return entries.delete([entryKey])
      case 'invalidate':
        return entries.invalidate(
          tenant,
          new Map([
            [text, 'given'],
            ['', 'given too'],
          ]),
        )
      case 'begin':
        return flights.begin(entryKey, {
          generation,
          owner: 'o',
          leaseMs: 60_000,
          unlessId: step.id,
          model: 'm',
        })
      case 'append':
        return flights.append(entryKey, generation, 60_000, 0, [{ type: 'data', data: Buffer.from(text) }])
      case 'commit': {
        const own = text.length % 2 === 0 ? entry : undefined
        return flights.commit(entryKey, generation, own, {
          ...options,
          published,
          admitWithinMs: text.length % 3,
        })
      }
      case 'handOver':
        return entries.write(entryKey, entry, { ...options, onlyIfAbsent: true, unlessDeleted: true })
      case 'void':
        return flights.void(tenant, `${name}*`, text.length % 2 === 0 ? undefined : 'm')
      case 'wereDeleted':
        return entries.wereDeleted([entryKey, { tenant, name: 'z' }])
      case 'fail':
        return flights.fail(entryKey, generation, Buffer.from(text))
    }
  }
  const said = await answer()
  const reading = await entries.read(entryKey, [''])
  // A version that nobody chose is random.
  const versions = reading.versions.map((version) => (version.startsWith('given') ? version : 'random'))
  const { state, records } = await flights.look(entryKey, generation, '0')
  return [said, { ...reading, versions }, state, records.map(({ type, data }) => `${type} ${data}`)]
}

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

  const fresh = async (sealer?: EntrySealer) => {
    await server.command('FLUSHALL')
    return createRedisStores(redis, { sealer })
  }

  testBoth('Redis', fresh)
  testBoth('Redis, encrypted', () =>
    fresh(new EntrySealer({ keys: [{ id: 'k1', secret: Buffer.alloc(32, 7) }] })),
  )

  it('answers as memory does to the same random calls', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const stores = [memoryStores(), await fresh()]
        for (const step of all) {
          const [one, other] = await Promise.all(stores.map((own) => take(own, step)))
          expect(other).toEqual(one)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('works on after SCRIPT FLUSH', async () => {
    const { flights } = await fresh()
    const entryKey = { tenant: 'n', name: 'k' }
    const begin = (generation: string) =>
      flights.begin(entryKey, { generation, owner: 'o', leaseMs: 60_000, unlessId: '' })
    expect(await begin('g1')).toEqual({ role: 'lead' })
    await server.command('SCRIPT', 'FLUSH')
    expect(await begin('g2')).toMatchObject({ role: 'follow' })
  })

  it('keeps the log of a leader that is silent for as long as it renews its lease', async () => {
    const { flights } = await fresh()
    const entryKey = { tenant: 'n', name: 'k' }
    await flights.begin(entryKey, { generation: 'g1', owner: 'o', leaseMs: 60_000, unlessId: '' })
    await flights.append(entryKey, 'g1', 60_000, 0, [{ type: 'data', data: Buffer.from('a') }])
    const logs: string[] = []
    for (const key of (await redis.command(['KEYS', '*'])) as string[]) {
      if ((await redis.command(['TYPE', key])) === 'stream') logs.push(key)
    }
    const [logKey = ''] = logs
    expect(logs).toHaveLength(1)
    await redis.command(['PEXPIRE', logKey, '20000'])
    await flights.renew(entryKey, 'g1', 60_000)
    expect(Number(await redis.command(['PTTL', logKey]))).toBeGreaterThan(30_000)
  })

  it('leaves nothing without an end behind, whatever becomes of a flight', async () => {
    const { entries, flights } = await fresh()
    const entryKey = { tenant: 'n', name: 'k' }
    const minute = { ttlMs: 60_000 }
    await entries.write(entryKey, sampleEntry('"1"'), { ...minute, admitWithinMs: 1_000 })
    for (const generation of ['g1', 'g2']) {
      await flights.begin(entryKey, { generation, owner: 'o', leaseMs: 60_000, unlessId: '' })
    }
    await flights.append(entryKey, 'g1', 60_000, 0, [{ type: 'data', data: Buffer.from('x') }])
    for (const key of (await redis.command(['KEYS', '*'])) as string[]) {
      expect([key, await redis.command(['PTTL', key])]).toEqual([key, expect.any(Number)])
      expect(Number(await redis.command(['PTTL', key]))).toBeGreaterThan(0)
    }
  })
})

describe.each(clientLibraries)('with a client of $name', (library) => {
  let server: RedisServer
  let client: RawClient
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis()
    client = await library.createClient(server.url)
    redis = await connect({ client, commandTimeout: '30s', connectionTimeout: '30s' })
  })
  afterAll(async () => {
    await redis.close()
    await library.closeClient(client)
    await server.close()
  })

  testBoth('Redis', async () => {
    await server.command('FLUSHALL')
    return createRedisStores(redis)
  })
})

describe('on a Cluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.close())

  describe.each(clientLibraries)('with $name', (library) => {
    let redis: Connection

    beforeAll(async () => {
      redis = await connect({
        cluster: { nodes: cluster.rootNodes },
        library: (await library.load()) as object,
        commandTimeout: '30s',
        connectionTimeout: '30s',
      })
    })
    afterAll(() => redis.close())

    testBoth('Redis Cluster (promise 9)', async () => {
      for (const node of cluster.nodes) await node.command('FLUSHALL').catch(() => {})
      return createRedisStores(redis)
    })
  })
})
