import { setTimeout as pause } from 'node:timers/promises'
import { createCache } from '@evenkeel/llm-response-cache'
import { startRedis } from '@evenkeel/test-servers'
import { countCommands } from './command-count.js'
import { connectCalmly, familyTables } from './family.js'
import { leastUs, roundsOf, sumOf, usageOf } from './server-usage.js'
import { type Effort, familySizes, type Section, type Table } from './tables.js'

const kilobyte = 'The quick brown fox jumps over the lazy dog, and more of it. '.repeat(17).slice(0, 1_024)
/** Operations in one turn, each of a different key: an instance would join those of the same key. */
const together = 64

/** What one more instance and one more answer of a response cache cost. */
export const responseCache: Section = {
  name: 'llm-response-cache',
  async measure(effort) {
    let keys = 0
    const family = await familyTables(
      {
        id: 'cache',
        sizes: familySizes(effort),
        async make(redis) {
          const cache = createCache<string>({ kind: 'growth', redis, l1Ttl: 0 })
          await cache.set('hit', kilobyte, { ttl: '1d' })
          return cache
        },
        operations: {
          'a hit in Redis': (cache) => cache.getOrSet('hit', neverAsked),
          'a miss, and its answer kept': (cache) => cache.getOrSet(`miss:${keys++}`, async () => kilobyte),
        },
      },
      effort,
    )
    return [...family, await entries(effort), await coldKey(effort)]
  },
}

async function neverAsked(): Promise<string> {
  throw new Error('a hit was expected')
}

async function entries({ smoke }: Effort): Promise<Table> {
  const rows: number[][] = []
  await using server = await startRedis()
  const redis = await connectCalmly(server.url)
  const cache = createCache<string>({ kind: 'growth', redis, l1Ttl: 0, compress: false })
  await cache.set('first', kilobyte)
  let made = 0
  let bytes = 0
  for (const size of smoke ? [64, 128] : [1_000, 10_000, 100_000]) {
    const fill = async () => {
      for (; made < size; made += together)
        await Promise.all(
          Array.from({ length: together }, (_, index) => cache.set(`key:${made + index}`, kilobyte)),
        )
    }
    bytes += sumOf(await usageOf([server], fill)).memoryBytes
    const asked = smoke ? 128 : 16_384
    const ask = async () => {
      for (let from = 0; from < asked; from += together)
        await Promise.all(
          Array.from({ length: together }, (_, index) =>
            cache.getOrSet(`key:${((from + index) * 7_919) % size}`, neverAsked),
          ),
        )
    }
    await ask()
    const us = await leastUs([server], { count: asked, rounds: roundsOf({ smoke }) }, ask)
    rows.push([size, bytes / size, us])
  }
  await cache.close()
  await redis.close()
  return {
    id: 'cache-entries',
    columns: ['answers of 1 KB', 'bytes of Redis an answer', 'µs of the processor a hit, 64 at once'],
    rows,
  }
}

/** One key that no instance has, which all request at once from a provider that takes half a second. */
async function coldKey(effort: Effort): Promise<Table> {
  const rows: number[][] = []
  for (const size of familySizes(effort)) {
    await using server = await startRedis()
    const connections = await Promise.all(Array.from({ length: size }, () => connectCalmly(server.url)))
    const caches = connections.map((redis) => createCache<string>({ kind: 'growth', redis }))
    await Promise.all(caches.map((cache) => cache.getOrSet('warm', async () => kilobyte)))
    let calls = 0
    const slow = async () => {
      calls++
      await pause(500)
      return kilobyte
    }
    const { total, published, delivered } = await countCommands(server, () =>
      Promise.all(caches.map((cache) => cache.getOrSet('cold', slow))),
    )
    const messages = [...published.values()].reduce((sum, count) => sum + count, 0)
    rows.push([size, calls, total, total / size, messages, delivered])
    await Promise.all(caches.map((cache) => cache.close()))
    await Promise.all(connections.map((redis) => redis.close()))
  }
  return {
    id: 'cache-cold-key',
    columns: [
      ...['instances that ask at once', 'calls to the provider', 'commands', 'of each instance'],
      ...['messages published', 'messages delivered'],
    ],
    rows,
  }
}
