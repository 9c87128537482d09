import { createHash } from 'node:crypto'
import { connect } from '@evenkeel/core'
import { canonicalHash, createCache, createResponseCache } from '@evenkeel/llm-response-cache'
import { startRedis } from '@evenkeel/test-servers'
import KeyvRedis from '@keyv/redis'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisDriver } from 'bentocache/drivers/redis'
import { createCache as createManager } from 'cache-manager'
import { Redis } from 'ioredis'
import { Keyv } from 'keyv'
import OpenAI from 'openai'
import { createClient } from 'redis'
import { startInstantProvider } from '../instant-provider.js'
import { closedLoop, inProcess, interleave, round2, type Standing } from '../interleaved.js'
import { pinServer } from '../pinned.js'
import type { Effort, Figure, Suite } from '../report.js'
import { misses } from './response-cache-misses.js'

const hour = 3_600_000
const keys = Array.from({ length: 1_000 }, (_, index) => `answer:${index}`)

/** An answer of about 2 KB, in the shape of a provider's. */
function answer(index: number) {
  return {
    id: `chatcmpl-${index}`,
    object: 'chat.completion',
    created: 1_700_000_000 + index,
    model: 'gpt-4o',
    choices: [
      {
        index: 0,
        logprobs: null,
        finish_reason: 'stop',
        message: {
          role: 'assistant',
          content: 'The quick brown fox, and more of it. '.repeat(47),
          refusal: null,
        },
      },
    ],
    usage: { prompt_tokens: 120, completion_tokens: 420, total_tokens: 540 },
  }
}

/**
 * The response cache against its peers, all on one Redis. Peers have the client that they are made for (BentoCache
 * ioredis, Keyv and cache-manager node-redis 5); the bare client and ours are node-redis 4.
 */
export const responseCache: Suite = {
  name: 'llm-response-cache',
  async run(effort) {
    const server = await startRedis()
    pinServer(server.pid)
    const { port } = new URL(server.url)
    const closing: (() => unknown)[] = []
    const client = createClient({ url: server.url })
    await client.connect()
    closing.push(() => client.disconnect())
    const redis = await connect({ url: server.url })
    const ours = createCache<unknown>({ kind: 'bench', redis, l1Ttl: 0 })
    closing.push(
      () => ours.close(),
      () => redis.close(),
    )
    const ioredis = new Redis(Number(port))
    closing.push(() => ioredis.disconnect())
    const bento = new BentoCache({
      default: 'l2',
      stores: { l2: bentostore().useL2Layer(redisDriver({ connection: ioredis })) },
    })
    const keyv = new Keyv({ store: new KeyvRedis(server.url), useKeyPrefix: false })
    const manager = createManager({ stores: [keyv] })
    closing.push(() => keyv.disconnect())
    const never = async () => {
      throw new Error('a hit was expected')
    }
    for (const [index, key] of keys.entries()) {
      const value = answer(index)
      await client.set(`bare:${key}`, JSON.stringify(value), { PX: hour })
      await ours.set(key, value, { ttl: hour })
      await bento.set({ key, value, ttl: hour })
      await manager.set(key, value, hour)
    }
    const next = walk()

    const second = await interleave(
      [
        closedLoop('BentoCache getOrSet', 64, () => bento.getOrSet({ key: next(), factory: never })),
        closedLoop('cache-manager wrap', 64, () => manager.wrap(next(), never)),
        closedLoop('Keyv get', 64, () => keyv.get(next())),
        closedLoop('bare: GET and JSON.parse', 64, async () =>
          JSON.parse((await client.get(`bare:${next()}`)) ?? ''),
        ),
        closedLoop('bare: GET, then HINCRBY awaited', 64, async () => {
          const value = JSON.parse((await client.get(`bare:${next()}`)) ?? '')
          await client.hIncrBy('stats', 'hits', 1)
          return value
        }),
        closedLoop('evenkeel getOrSet', 64, () => ours.getOrSet(next(), never)),
      ],
      effort,
    )
    const first = await firstLevel(effort)
    const throughSdk = await hitsThroughSdk(effort, closing)
    const hash = await hashing(effort)
    const cold = await coldKey({ bento, manager, ours }, effort)
    for (const close of closing.reverse()) await close()
    await server.close()
    const missed = await misses(effort)

    const best = Math.max(...second.slice(0, 3).map(({ perSecond }) => perSecond))
    const own = second.at(-1)
    return {
      suite: 'llm-response-cache',
      comparisons: [
        { title: 'a hit in Redis, 1,000 answers of 2 KB, 64 concurrent', standings: second },
        { title: 'a hit in the process', standings: first },
        { title: 'a chat completion through the OpenAI SDK, 8 concurrent', standings: throughSdk },
        ...missed.comparisons,
        { title: 'the key of a conversation of 100 KB', standings: hash },
      ],
      figures: [
        figure('hit in Redis, by the best peer', (own?.perSecond ?? Number.NaN) / best, 'x', {
          atLeast: 1.5,
        }),
        figure('hit in Redis, by the bare GET and JSON.parse', by(second, 5, 3), 'x', { atLeast: 0.8 }),
        figure('hit with counts, by GET and HINCRBY awaited', by(second, 5, 4), 'x', { atLeast: 1.8 }),
        figure('hit in the process, a copy each, by BentoCache', by(first, 2, 0), 'x', { atLeast: 2 }),
        figure('hit in the process, frozen, by cache-manager', by(first, 3, 1), 'x', { atLeast: 1 }),
        figure('hit through the SDK, by no cache and an instant server', by(throughSdk, 1, 0), 'x', {
          atLeast: 1,
        }),
        figure('key of 100 KB, its time by JSON.stringify and SHA-256', 1 / by(hash, 1, 0), 'x', {
          atMost: 1.5,
        }),
        ...missed.figures,
        ...cold,
      ],
    }
  },
}

async function firstLevel(effort: Effort): Promise<readonly Standing[]> {
  const bento = new BentoCache({
    default: 'l1',
    stores: { l1: bentostore().useL1Layer(memoryDriver({ maxItems: 10_000 })) },
  })
  const manager = createManager()
  const copies = createCache<unknown>({ kind: 'bench' })
  const frozen = createCache<unknown>({ kind: 'bench', share: 'frozen' })
  const never = async () => answer(0)
  for (const [index, key] of keys.entries()) {
    const value = answer(index)
    await bento.set({ key, value, ttl: hour })
    await manager.set(key, value, hour)
    await copies.set(key, value)
    await frozen.set(key, value)
  }
  const next = walk()
  const standings = await interleave(
    [
      inProcess('BentoCache getOrSet, in memory', () => bento.getOrSet({ key: next(), factory: never })),
      inProcess('cache-manager wrap, one mutable object', () => manager.wrap(next(), never)),
      inProcess('evenkeel getOrSet, a copy each', () => copies.getOrSet(next(), never)),
      inProcess('evenkeel getOrSet, frozen', () => frozen.getOrSet(next(), never)),
    ],
    { rounds: effort.rounds, roundMs: Math.min(effort.roundMs, 200) },
  )
  await Promise.all([copies.close(), frozen.close()])
  return standings
}

/** A whole call of the SDK: without a cache it goes to a server in another process that answers at once. */
async function hitsThroughSdk(effort: Effort, closing: (() => unknown)[]): Promise<readonly Standing[]> {
  const provider = await startInstantProvider(answer(0))
  closing.push(() => provider.close())
  const cache = createResponseCache()
  closing.push(() => cache.close())
  const options = { apiKey: 'k', baseURL: provider.url, maxRetries: 0 }
  const plain = new OpenAI(options)
  const cached = new OpenAI({ ...options, fetch: cache.fetch() })
  const ask = (client: OpenAI) =>
    client.chat.completions.create({ model: 'gpt-4o', messages: [{ role: 'user', content: 'hello' }] })
  await ask(cached)
  return interleave(
    [
      closedLoop('without a cache', 8, () => ask(plain)),
      closedLoop('evenkeel fetch(), a hit', 8, () => ask(cached)),
    ],
    effort,
  )
}

async function hashing(effort: Effort): Promise<readonly Standing[]> {
  // A key takes a fifth of a millisecond.
  const keysAtOnce = 10
  const conversation = {
    model: 'gpt-4o',
    temperature: 0,
    messages: Array.from({ length: 200 }, (_, index) => ({
      role: index % 2 === 0 ? 'user' : 'assistant',
      content: `${index} ${'some words of a conversation, as they are said. '.repeat(10)}`,
    })),
  }
  return interleave(
    [
      inProcess(
        'JSON.stringify and SHA-256',
        () => createHash('sha256').update(JSON.stringify(conversation)).digest('base64url'),
        keysAtOnce,
      ),
      inProcess('evenkeel canonicalHash', () => canonicalHash(conversation), keysAtOnce),
    ],
    { rounds: effort.rounds, roundMs: Math.min(effort.roundMs, 200) },
  )
}

/** A thousand callers of a key that no cache has: calls of the provider, and the p99 of the time. */
async function coldKey(
  {
    bento,
    manager,
    ours,
  }: {
    bento: {
      getOrSet(options: { key: string; factory: () => Promise<unknown>; ttl: number }): Promise<unknown>
    }
    manager: { wrap(key: string, factory: () => Promise<unknown>, ttl: number): Promise<unknown> }
    ours: { getOrSet(key: string, load: () => Promise<unknown>): Promise<unknown> }
  },
  { smoke, rounds }: Effort,
): Promise<readonly Figure[]> {
  const value = answer(0)
  let calls = 0
  const load = async () => {
    calls++
    await new Promise((resolve) => setTimeout(resolve, 20))
    return value
  }
  const contenders: readonly [string, (key: string) => Promise<unknown>][] = [
    ['BentoCache', (key) => bento.getOrSet({ key, factory: load, ttl: hour })],
    ['cache-manager', (key) => manager.wrap(key, load, hour)],
    ['evenkeel', (key) => ours.getOrSet(key, load)],
  ]
  const callers = smoke ? 100 : 1_000
  const told = contenders.map(([name]) => ({ name, calls: 0, p99: [] as number[] }))
  for (let round = 0; round < Math.max(3, rounds); round++) {
    for (const [index, [name, ask]] of contenders.entries()) {
      calls = 0
      const times = await Promise.all(
        Array.from({ length: callers }, async () => {
          const began = performance.now()
          await ask(`cold:${name}:${round}`)
          return performance.now() - began
        }),
      )
      times.sort((one, other) => one - other)
      told[index]?.p99.push(times[Math.floor(callers * 0.99)] ?? Number.NaN)
      const own = told[index]
      if (own !== undefined) own.calls = Math.max(own.calls, calls)
    }
  }
  const p99 = (index: number) => {
    const sorted = [...(told[index]?.p99 ?? [])].sort((one, other) => one - other)
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  }
  return [
    ...told.map(({ name, calls: most }, index) =>
      figure(
        `${callers} callers of a cold key, ${name}: calls of the provider`,
        most,
        'calls',
        index === 2 ? { atMost: 1 } : undefined,
      ),
    ),
    ...told.map(({ name }, index) => figure(`the same, p99 of a load of 20 ms: ${name}`, p99(index), 'ms')),
    figure('the same, p99 by the best peer', p99(2) / Math.min(p99(0), p99(1)), 'x', { atMost: 1 }),
  ]
}

function by(standings: readonly Standing[], index: number, base: number): number {
  return (standings[index]?.perSecond ?? Number.NaN) / (standings[base]?.perSecond ?? Number.NaN)
}

function figure(name: string, value: number, unit: string, bound?: Figure['bound']): Figure {
  return { name, value: round2(value), unit, ...(bound && { bound }) }
}

function walk(): () => string {
  let index = 0
  return () => keys[index++ % keys.length] ?? ''
}
