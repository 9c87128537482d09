import { type Connection, connect } from '@evenkeel/core'
import {
  clientLibraries,
  type FaultProxy,
  fairTime,
  flavours,
  type RedisServer,
  startProxy,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSemanticCache, lexicalEmbedder, type SemanticCache } from '../../src/semantic/index.js'
import { seededRandom } from './labelled-set.js'

const embed = lexicalEmbedder()
const request = (content: string) => ({ model: 'm', messages: [{ role: 'user', content }] })
const subject = (content: string) => content.replace(/^Please tell me in short words |\?$/g, '').toLowerCase()

/** A model whose answer is the same for the same subject, in whatever words. */
function subjectModel() {
  const calls: string[] = []
  const ask = async ({ messages }: ReturnType<typeof request>) => {
    const question = messages[0]?.content ?? ''
    calls.push(question)
    return { content: `about ${subject(question)}` }
  }
  return { ask, calls }
}

/** Proves a threshold by rewordings of questions about one account after the other. */
async function teach(cache: SemanticCache, model: ReturnType<typeof subjectModel>): Promise<void> {
  const ask = cache.wrap(model.ask, { name: 'ask' })
  for (let at = 0; cache.stats().certificate === undefined && at < 100; at++) {
    for (const words of [
      `How to reset account ${at}?`,
      `Please tell me in short words how to reset account ${at}`,
    ]) {
      await ask(request(words))
      await cache.settled()
    }
  }
}

const options = { embed, model: 'lexical-1', maxErrorRate: 0.2, confidence: 0.9, auditRate: 0.001 }

describe.each(flavours())('an outage of $name', (flavour) => {
  let server: RedisServer
  let proxy: FaultProxy
  let redis: Connection
  let elsewhere: Connection
  let cache: SemanticCache
  let other: SemanticCache
  const model = subjectModel()

  beforeEach(async () => {
    server = await startRedis({ flavour })
    proxy = await startProxy({ host: server.host, port: server.port })
    redis = await connect({ url: proxy.url, commandTimeout: 200 })
    elsewhere = await connect({ url: server.url })
    cache = createSemanticCache({ ...options, redis, random: seededRandom(1) })
    other = createSemanticCache({ ...options, redis: elsewhere, random: seededRandom(2), refresh: 20 })
    await teach(cache, model)
    model.calls.length = 0
  })
  afterEach(async () => {
    await cache.close()
    await other.close()
    await redis.close()
    await elsewhere.close()
    await proxy.close()
    await server.close()
  })

  const back = async () => {
    await proxy.restore()
    await until(() => cache.stats().state === 'primary', 5_000)
  }

  it('leaves what this process has learned and seen, and costs no more than a deadline', async () => {
    const ask = cache.wrap(model.ask, { name: 'ask' })
    await ask(request('How to order a new card for the office?'))
    await cache.settled()
    proxy.blackHole()
    using time = fairTime()
    const reworded = await ask.detailed(
      request('Please tell me in short words how to order a new card for the office'),
    )
    expect(reworded.outcome).toBe('semantic')
    await ask(request('Where is the nearest branch?'))
    expect(time.elapsedMs()).toBeLessThan(2_000)
    // Nothing waits any more once it is known that Redis is away.
    using later = fairTime()
    for (let at = 0; at < 20; at++) await ask(request(`Which branch has number ${at}?`))
    expect(later.elapsedMs()).toBeLessThan(1_000)
    await cache.settled()
    expect(cache.stats().certificate).toBeDefined()
    await back()
    expect((await ask.detailed(request('How to order a new card for the office?'))).outcome).toBe('hit')
  })

  it('does not serve after it what was reported as wrong in it', async () => {
    const ask = cache.wrap(model.ask, { name: 'ask' })
    await ask(request('How to raise the limit of the office card?'))
    await cache.settled()
    const reworded = request('Please tell me in short words how to raise the limit of the office card')
    await proxy.refuse()
    await until(() => cache.stats().state === 'fallback', 2_000)
    const hit = await ask.detailed(reworded)
    expect(hit.outcome).toBe('semantic')
    await cache.reportWrong(hit.semantic?.hitId ?? '')
    await back()
    const asked = other.wrap(model.ask, { name: 'ask' })
    expect((await asked.detailed(reworded)).outcome).toBe('miss')
    expect(other.stats().misses).toEqual({ 'known-wrong': 1 })
    await other.settled()
  })

  it('begins to learn anew when Redis has lost everything, and serves nothing until then', async () => {
    const ask = cache.wrap(model.ask, { name: 'ask' })
    await ask(request('How to close the account of the office?'))
    await cache.settled()
    await server.command('FLUSHALL')
    const fresh = createSemanticCache({ ...options, redis: elsewhere, random: seededRandom(3) })
    const asked = fresh.wrap(model.ask, { name: 'ask' })
    await asked(request('How to close the account of the office?'))
    await fresh.settled()
    const reworded = request('Please tell me in short words how to close the account of the office')
    expect((await asked.detailed(reworded)).outcome).toBe('miss')
    expect(fresh.stats()).toMatchObject({ epoch: 1, certificate: undefined, misses: { learning: 1 } })
    await fresh.close()
    await fresh.settled()
  })
})

describe.each(clientLibraries)('with $name', ({ load }) => {
  const servers: RedisServer[] = []
  beforeAll(async () => {
    for (const flavour of flavours()) servers.push(await startRedis({ flavour }))
  })
  afterAll(async () => {
    for (const server of servers) await server.close()
  })

  it('learns and serves on every server', async () => {
    const library = (await load()) as object
    for (const [at, server] of servers.entries()) {
      await using redis = await connect({ url: server.url, library })
      const model = subjectModel()
      const cache = createSemanticCache({ ...options, redis, random: seededRandom(1) })
      await teach(cache, model)
      const ask = cache.wrap(model.ask, { name: 'ask' })
      await ask(request('How to send money abroad from the office?'))
      await cache.settled()
      const reworded = request('Please tell me in short words how to send money abroad from the office')
      expect((await ask.detailed(reworded)).outcome).toBe('semantic')
      expect(cache.stats().search).toBe(flavours()[at]?.vectorSets ? 'vector-set' : 'exact')
      await cache.close()
    }
  })
})

describe('what is kept', () => {
  it.each(flavours())('of a question holds none of its words, on $name', async (flavour) => {
    const server = await startRedis({ flavour })
    const redis = await connect({ url: server.url })
    const answers = new Map<string, unknown>()
    const cache = createSemanticCache({
      ...options,
      redis,
      secret: 'a secret of the host',
      answers: {
        get: async (key) => answers.get(key),
        set: async (key, answer) => {
          answers.set(key, answer)
        },
      },
    })
    const question =
      'Does Rumpelstilzchen owe 4711 ducats to `spin(straw)` at straw@castle.example, not gold?'
    const ask = cache.wrap(async (_: ReturnType<typeof request>) => 'perhaps', { name: 'ask' })
    await ask(request(question))
    await cache.settled()
    const keys = (await server.command('KEYS', '*')) as string[]
    const dump: string[] = [...keys]
    for (const key of keys) {
      const type = await server.command('TYPE', key)
      const read = { hash: ['HGETALL', key], zset: ['ZRANGE', key, '0', '-1'], string: ['GET', key] }[
        String(type)
      ]
      dump.push(JSON.stringify(read ? await server.command(read[0] ?? '', ...read.slice(1)) : ''))
    }
    expect(dump.length).toBeGreaterThan(4)
    for (const word of ['rumpelstilzchen', '4711', 'ducat', 'straw', 'castle', 'gold', 'spin', 'perhaps']) {
      expect(dump.join(' ').toLowerCase()).not.toContain(word)
    }
    await cache.close()
    await redis.close()
    await server.close()
  })
})
