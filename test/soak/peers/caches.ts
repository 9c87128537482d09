import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '@evenkeel/core'
import { createCache } from '@evenkeel/llm-response-cache'
import { type FaultProxy, fillMemory, type RedisServer, startProxy, startRedis } from '@evenkeel/test-servers'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis'
import { Redis } from 'ioredis'
import { Random } from '../random.js'
import { percentile, type Standing } from './standing.js'

const instances = 4
const readersEach = 3
const keys = 40
const ttlMs = 5_000
const loadMs = 20
/** How long after a deletion an answer may be an old one: the message to the other instances may be in flight. */
const graceMs = 1_000

/** The cache in one instance of a service. */
interface Instance {
  get(key: string, load: () => Promise<number>): Promise<number>
  delete(key: string): Promise<unknown>
  close(): Promise<void>
}

interface Rival {
  readonly name: string
  open(url: string): Promise<Instance>
}

const rivals: readonly Rival[] = [
  { name: 'evenkeel', open: openEvenkeel },
  { name: 'BentoCache 1.6, memory, Redis and bus', open: openBento },
]

async function openEvenkeel(url: string): Promise<Instance> {
  const redis = await connect({ url, logger: { info: () => {}, warn: () => {} } })
  const cache = createCache<number>({ redis, kind: 'peers', ttl: ttlMs, grace: '1m', l1Ttl: '1s' })
  return {
    get: (key, load) => cache.getOrSet(key, load),
    delete: (key) => cache.delete(key),
    async close() {
      await cache.close()
      await redis.close()
    },
  }
}

/** Configured as its guide recommends: both levels, a bus, grace, and a time limit for the second level. */
async function openBento(url: string): Promise<Instance> {
  const client = () => {
    const made = new Redis(url, { commandTimeout: 500, maxRetriesPerRequest: 1 })
    made.on('error', () => {})
    // The bus subscribes on a duplicate of this client, which needs an error listener too.
    const duplicate = made.duplicate.bind(made)
    made.duplicate = (options) => duplicate(options).on('error', () => {})
    return made
  }
  const [connection, bus] = [client(), client()]
  const cache = new BentoCache({
    default: 'multi',
    stores: {
      multi: bentostore({ grace: '1m', l2CircuitBreakerDuration: '1s' })
        .useL1Layer(memoryDriver({ maxItems: 10_000 }))
        .useL2Layer(redisDriver({ connection }))
        .useBus(redisBusDriver({ connection: bus })),
    },
  })
  return {
    get: (key, factory) => cache.getOrSet({ key, factory, ttl: ttlMs }),
    delete: (key) => cache.delete({ key }),
    async close() {
      await cache.disconnectAll()
      for (const made of [connection, bus]) made.disconnect()
    },
  }
}

interface Deployment {
  readonly server: RedisServer
  readonly proxy: FaultProxy
}

/** Each fault happens to both servers at once, so that both caches meet the same. */
const faults: readonly { readonly name: string; run(on: Deployment, ms: number): Promise<void> }[] = [
  {
    name: 'freeze',
    async run({ server }, ms) {
      server.freeze()
      await pause(ms)
      server.resume()
    },
  },
  {
    name: 'kill',
    async run({ server }, ms) {
      await server.kill()
      await pause(ms)
      await server.restart()
    },
  },
  { name: 'cut', run: ({ proxy }, ms) => through(proxy, () => proxy.cut(), ms) },
  { name: 'refuse', run: ({ proxy }, ms) => through(proxy, () => proxy.refuse(), ms) },
  { name: 'black hole', run: ({ proxy }, ms) => through(proxy, () => proxy.blackHole(), ms) },
  { name: 'delay of 200 ms', run: ({ proxy }, ms) => through(proxy, () => proxy.delay(200), ms) },
  {
    name: 'memory full',
    async run({ server }, ms) {
      const fault = await fillMemory(server)
      await pause(ms)
      await fault.undo()
    },
  },
  { name: 'FLUSHALL', run: async ({ server }) => void (await server.command('FLUSHALL')) },
]

async function through(proxy: FaultProxy, begin: () => unknown, ms: number): Promise<void> {
  await begin()
  await pause(ms)
  await proxy.restore()
}

/** Sends equal traffic through each cache while the same faults happen to its Redis. */
export async function compareCaches(ms: number, seed: number): Promise<readonly Standing[]> {
  const running = await Promise.all(rivals.map((rival) => startRun(rival, seed)))
  const random = new Random(seed)
  const endsAt = performance.now() + ms
  try {
    const reading = running.map((run) => run.readUntil(endsAt))
    while (performance.now() < endsAt - 5_000) {
      await pause(random.between(500, 2_000))
      const fault = random.of(faults)
      const lasts = random.between(300, 2_500)
      await Promise.all(running.map(({ deployment }) => fault.run(deployment, lasts)))
    }
    await Promise.all(reading)
    return running.map((run) => run.standing())
  } finally {
    await Promise.all(running.map((run) => run.close()))
  }
}

async function startRun(rival: Rival, seed: number) {
  const server = await startRedis({ args: { appendonly: 'yes', save: '' } })
  const proxy = await startProxy(server)
  const caches = await Promise.all(Array.from({ length: instances }, () => rival.open(proxy.url)))
  const source = new Source()
  const latencies: number[] = []
  let [failed, wrong] = [0, 0]

  const read = async (cache: Instance, random: Random, endsAt: number) => {
    while (performance.now() < endsAt) {
      const key = `k${random.below(keys)}`
      const oldest = source.oldestAllowed(key)
      const sentAt = performance.now()
      try {
        if ((await cache.get(key, () => source.load(key))) < oldest) wrong++
      } catch {
        failed++
      }
      latencies.push(performance.now() - sentAt)
      await pause(random.between(0, 40))
    }
  }
  const change = async (cache: Instance, random: Random, endsAt: number) => {
    while (performance.now() < endsAt) {
      await pause(random.between(100, 500))
      const key = `k${random.below(keys)}`
      const version = source.change(key)
      try {
        await cache.delete(key)
        source.deleted(key, version)
      } catch {
        // The caller learns that the deletion may not have happened, so nothing is promised.
        failed++
      }
    }
  }
  return {
    deployment: { server, proxy },
    async readUntil(endsAt: number) {
      const readers = caches.flatMap((cache, index) =>
        Array.from({ length: readersEach }, (_, reader) =>
          read(cache, new Random(seed + 100 * index + reader), endsAt),
        ),
      )
      const changers = caches.map((cache, index) => change(cache, new Random(seed + 7_000 + index), endsAt))
      await Promise.all([...readers, ...changers])
    },
    standing: (): Standing => ({
      name: rival.name,
      calls: latencies.length,
      failed,
      wrong,
      p99Ms: percentile(latencies, 0.99),
      longestMs: percentile(latencies, 1),
      extra: source.loads,
    }),
    async close() {
      await proxy.restore()
      await Promise.allSettled(caches.map((cache) => cache.close()))
      await proxy.close()
      await server.close()
    },
  }
}

/** The source of the cached values: for each key a number that rises. */
class Source {
  loads = 0
  readonly #versions = new Map<string, number>()
  readonly #deletions = new Map<string, { readonly version: number; readonly at: number }[]>()

  async load(key: string): Promise<number> {
    this.loads++
    const version = this.#versions.get(key) ?? 0
    await pause(loadMs)
    return version
  }

  change(key: string): number {
    const version = (this.#versions.get(key) ?? 0) + 1
    this.#versions.set(key, version)
    return version
  }

  /** The cache has acknowledged that older versions are gone. */
  deleted(key: string, version: number): void {
    const known = this.#deletions.get(key) ?? []
    known.push({ version, at: performance.now() })
    this.#deletions.set(key, known)
  }

  /** The oldest version that a call which begins now may be answered with. */
  oldestAllowed(key: string): number {
    const before = performance.now() - graceMs
    const due = this.#deletions.get(key)?.filter(({ at }) => at <= before) ?? []
    return due.reduce((most, { version }) => Math.max(most, version), 0)
  }
}
