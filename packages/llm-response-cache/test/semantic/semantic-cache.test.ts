import { type Connection, connect } from '@evenkeel/core'
import { flavours, type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  createSemanticCache,
  lexicalEmbedder,
  MemorySemanticIndex,
  type SemanticCache,
  type SemanticCacheOptions,
} from '../../src/semantic/index.js'
import { labelledSet, seededRandom } from './labelled-set.js'

const embed = lexicalEmbedder()
/** Few audits are enough for a tenth: 17 clean ones in the first epoch. */
const lenient = { embed, model: 'lexical-1', maxErrorRate: 0.2, confidence: 0.9 }

/** A stand-in for a model: the answer is known from the labelled set, and is the same for what means the same. */
function oracle() {
  const meanings = new Map<string, string>()
  const calls: string[] = []
  return {
    calls,
    means: (question: string, answer: string) => meanings.set(question, answer),
    ask: async ({ messages }: Request) => {
      const question = messages.at(-1)?.content ?? ''
      calls.push(question)
      return { content: meanings.get(question) ?? `about ${question}`, id: `answer ${calls.length}` }
    },
  }
}

interface Request {
  readonly model: string
  readonly messages: readonly { readonly role: string; readonly content: string }[]
  readonly temperature?: number
}

const request = (content: string, more: Partial<Request> = {}): Request => ({
  model: 'm',
  messages: [{ role: 'user', content }],
  ...more,
})

const settings = [
  { name: 'memory', flavour: undefined },
  ...flavours().map((flavour) => ({ name: flavour.name, flavour })),
]

describe.each(settings)('the semantic cache in $name', ({ flavour }) => {
  let server: RedisServer | undefined
  let redis: Connection | undefined
  let caches: SemanticCache[]

  beforeAll(async () => {
    server = flavour && (await startRedis({ flavour }))
  })
  afterAll(() => server?.close())
  beforeEach(async () => {
    await server?.command('FLUSHALL')
    redis = server && (await connect({ url: server.url }))
    caches = []
  })
  afterEach(async () => {
    for (const cache of caches) cache.close()
    await redis?.close()
  })

  const create = (options: Partial<SemanticCacheOptions> = {}) => {
    const cache = createSemanticCache({ redis, ...lenient, random: seededRandom(1), ...options })
    caches.push(cache)
    return cache
  }

  /** Asks rewordings of one question after the other until something was proved. */
  const teach = async (
    cache: SemanticCache,
    model: ReturnType<typeof oracle>,
    more: Partial<Request> = {},
  ) => {
    const ask = cache.wrap(model.ask, { name: 'ask' })
    for (let at = 0; cache.stats().certificate === undefined && at < 200; at++) {
      const [one, other] = [
        `How do I reset the password of account ${at}?`,
        `Please tell me in a few short words how to reset the forgotten password of my account ${at}`,
      ]
      for (const question of [one, other]) {
        model.means(question, `reset ${at}`)
        await ask(request(question, more))
        await cache.settled()
      }
    }
    expect(cache.stats().certificate).toBeDefined()
    return ask
  }

  it('serves nothing by meaning before it is proved, and then answers other words', async () => {
    const model = oracle()
    const cache = create()
    const ask = await teach(cache, model)
    expect(cache.stats().hits).toBe(0)
    expect(cache.stats().certificate?.errorBound).toBeLessThanOrEqual(0.2)

    await ask(request('How can I change the email address of my profile?'))
    await cache.settled()
    const before = model.calls.length
    const answers = []
    for (const words of [
      'How can I change the e-mail... no, the email address of my profile',
      'Please tell me how I can change the email address of my profile',
    ]) {
      answers.push(await ask.detailed(request(words)))
    }
    const hit = answers.find(({ outcome }) => outcome === 'semantic')
    expect(hit?.value.content).toBe('about How can I change the email address of my profile?')
    expect(hit?.cached).toBe(true)
    expect(hit?.semantic?.similarity).toBeGreaterThan(0.8)
    expect(hit?.semantic?.confidence).toBeGreaterThan(0)
    expect(model.calls.length).toBeLessThan(before + 2)
  })

  it('never hits across a model, a system prompt, a parameter, an earlier turn, a scope or a tenant', async () => {
    const model = oracle()
    const cache = create({ auditRate: 0.001 })
    const ask = await teach(cache, model)
    const asked = 'Which documents do I need to open an account?'
    const reworded = 'Please tell me which documents I need to open an account'
    await ask(request(asked))
    await cache.settled()
    expect((await ask.detailed(request(reworded))).outcome).toBe('semantic')

    const user = { role: 'user', content: reworded }
    const others: Request[] = [
      request(reworded, { model: 'other' }),
      request(reworded, { temperature: 1 }),
      request(reworded, { messages: [{ role: 'system', content: 'Be rude.' }, user] }),
      request(reworded, {
        messages: [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello' }, user],
      }),
    ]
    for (const other of others) expect((await ask.detailed(other)).outcome).toBe('miss')
    for (const other of [
      create({ scope: 'user 2', auditRate: 0.001 }),
      create({ tenant: 'tenant-2', auditRate: 0.001 }),
    ]) {
      expect((await other.wrap(model.ask, { name: 'ask' }).detailed(request(reworded))).outcome).toBe('miss')
      await other.settled()
    }
    await cache.settled()
  })

  it('never hits where a number, a name or a negation has changed', async () => {
    const model = oracle()
    const cache = create({ auditRate: 0.001 })
    const ask = await teach(cache, model)
    await ask(request('How long may a visa for Peru be, for 30 days of work?'))
    await cache.settled()
    const changed = [
      'How long may a visa for Peru be, for 31 days of work?',
      'How long may a visa for Chile be, for 30 days of work?',
      'How long may a visa for Peru not be, for 30 days of work?',
    ]
    for (const words of changed) expect((await ask.detailed(request(words))).outcome).toBe('miss')
    expect(cache.stats().misses).toMatchObject({ names: 1, negation: 1 })
  })

  it('does not serve again what was reported as wrong', async () => {
    const model = oracle()
    const cache = create({ auditRate: 0.001 })
    const ask = await teach(cache, model)
    await ask(request('What does the premium plan cost for students?'))
    await cache.settled()
    const reworded = request('Please tell me what the premium plan would cost for students')
    const hit = await ask.detailed(reworded)
    expect(hit.outcome).toBe('semantic')
    await cache.reportWrong(hit.semantic?.hitId ?? '')
    expect((await ask.detailed(reworded)).outcome).toBe('miss')
    expect(cache.stats()).toMatchObject({ falseHits: { reported: 1 }, misses: { 'known-wrong': 1 } })
    await expect(cache.reportWrong('nonsense')).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      field: 'hitId',
    })
    await cache.settled()
  })

  it('stops to serve when answers change, and says so', async () => {
    const model = oracle()
    const cache = create({ auditRate: 1, maxErrorRate: 0.1 })
    const ask = await teach(cache, model)
    for (let at = 0; at < 400 && cache.stats().drifts === 0; at++) {
      // The world has changed: the same question in other words has another answer now.
      for (const words of [
        `Tell me the opening hours of shop ${at}`,
        `Please tell me the opening hours of the shop ${at}`,
      ]) {
        await ask(request(words))
        await cache.settled()
      }
    }
    expect(cache.stats()).toMatchObject({ drifts: 1, certificate: undefined })
    expect(cache.stats().falseHits.wrong).toBeGreaterThan(3)
  })

  it('learns in the shadow without serving', async () => {
    const model = oracle()
    const cache = create({ shadow: true })
    const ask = await teach(cache, model)
    await ask(request('Where can I see my last invoice?'))
    await cache.settled()
    expect((await ask.detailed(request('Please tell me where I can see my last invoice'))).outcome).toBe(
      'miss',
    )
    expect(cache.stats()).toMatchObject({ hits: 0, withheld: 1, misses: { shadow: 1 } })
    await cache.settled()
  })

  it('goes on to the provider whatever fails: embedder, judge, verify, answers', async () => {
    const model = oracle()
    let broken = false
    const failing = async () => {
      throw new Error('broken')
    }
    const cache = create({
      embed: (texts) => (broken ? failing() : embed(texts)),
      verify: () => (broken ? failing() : true),
    })
    const ask = await teach(cache, model)
    broken = true
    expect((await ask.detailed(request('Is there a discount?'))).outcome).toBe('miss')
    expect(cache.stats().misses.failed).toBe(1)
    const judging = create({ same: failing, tenant: 'judge' })
    const asked = judging.wrap(model.ask, { name: 'ask' })
    for (const words of ['Is there any discount today?', 'Please tell me if there is any discount today']) {
      await asked(request(words))
      await judging.settled()
    }
    expect(judging.stats()).toMatchObject({ judgeFailures: 1, audits: 0 })
  })

  it('waits for no embedder for ever, and takes no row out because a store of answers fails', async () => {
    const model = oracle()
    let release: () => void = () => {}
    const slow = (texts: readonly string[]) =>
      new Promise<Awaited<ReturnType<typeof embed>>>((resolve) => {
        release = () => void embed(texts).then(resolve)
      })
    const stuck = create({ embed: slow, timeout: 30 })
    expect(
      (await stuck.wrap(model.ask, { name: 'ask' }).detailed(request('Is anybody there?'))).outcome,
    ).toBe('miss')
    release()
    await new Promise(setImmediate)
    expect(stuck.stats()).toMatchObject({ lookups: 1, misses: { failed: 1 } })

    const answers = new Map<string, unknown>()
    let broken = false
    const cache = create({
      tenant: 'failing answers',
      auditRate: 0.001,
      answers: {
        get: async (key) => {
          if (broken) throw new Error('no answers today')
          return answers.get(key)
        },
        set: async (key, answer) => {
          answers.set(key, answer)
        },
      },
    })
    const ask = await teach(cache, model)
    await ask(request('How do I cancel the newsletter for good?'))
    await cache.settled()
    const reworded = request('Please tell me how I do cancel the newsletter for good')
    broken = true
    expect((await ask.detailed(reworded)).outcome).toBe('miss')
    await cache.settled()
    broken = false
    answers.delete([...answers.keys()].at(-1) ?? '')
    expect((await ask.detailed(reworded)).outcome).toBe('semantic')
  })

  it('serves a withheld hit where the provider fails in an audit', async () => {
    const model = oracle()
    const cache = create({ auditRate: 1 })
    await teach(cache, model)
    let down = false
    const ask = cache.wrap(
      async (asked: Request) => {
        if (down) throw new Error('provider is down')
        return model.ask(asked)
      },
      { name: 'ask' },
    )
    await ask(request('How many seats does the small plan have?'))
    await cache.settled()
    down = true
    const answer = await ask.detailed(request('Please tell me how many seats the small plan has'))
    expect(answer.outcome).toBe('semantic')
    await expect(ask(request('Something else entirely'))).rejects.toThrow('provider is down')
  })

  it('shares one call among equal questions at the same time, and gives each a copy', async () => {
    const model = oracle()
    const ask = create().wrap(model.ask, { name: 'ask' })
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(request('One and the same?'))))
    expect(model.calls).toHaveLength(1)
    expect(new Set(answers).size).toBe(20)
  })
})

it('finds in an index of the host', async () => {
  const own = new MemorySemanticIndex()
  const model = oracle()
  const cache = createSemanticCache({ ...lenient, index: own })
  await cache.wrap(model.ask, { name: 'ask' })(request('Is it kept there?'))
  await cache.settled()
  expect(own.places).toBe(1)
  expect(cache.stats().search).toBe('own')
  await cache.close()
})

it('rejects bad options by name, before any call', () => {
  const bad: [string, object][] = [
    ['embed', { embed: 'no' }],
    ['model', { model: '' }],
    ['maxErrorRate', { maxErrorRate: 0 }],
    ['maxErrorRate', { maxErrorRate: 0.5 }],
    ['confidence', { confidence: 1 }],
    ['auditRate', { auditRate: 0 }],
    ['minSimilarity', { minSimilarity: Number.NaN }],
    ['search', { search: 'fast' }],
    ['same', { same: true }],
    ['maxRows', { maxRows: 0 }],
    ['tenant', { tenant: '' }],
  ]
  for (const [field, option] of bad) {
    expect(() => createSemanticCache({ ...lenient, ...option })).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', field }),
    )
  }
})

describe('many instances on one Redis', () => {
  it('learn together, and answer by what another has learned', async () => {
    const server = await startRedis()
    const connections = await Promise.all([1, 2, 3].map(() => connect({ url: server.url })))
    const model = oracle()
    const random = seededRandom(3)
    const caches = connections.map((redis) =>
      createSemanticCache({ ...lenient, redis, refresh: 20, auditRate: 0.001, random }),
    )
    try {
      const asks = caches.map((cache) => cache.wrap(model.ask, { name: 'ask' }))
      const pairs = labelledSet(300, 11).filter(({ kind }) => kind === 'paraphrase')
      for (const [at, { a, b }] of pairs.entries()) {
        model.means(a, `meaning ${at}`)
        model.means(b, `meaning ${at}`)
        for (const words of [a, b]) {
          await asks[(at + (words === b ? 1 : 0)) % 3]?.(request(words))
          await Promise.all(caches.map((cache) => cache.settled()))
        }
      }
      const audits = caches.map((cache) => cache.stats().audits)
      expect(audits.every((count) => count > 3)).toBe(true)
      await until(() => caches.every((cache) => cache.stats().epoch >= 2), 2_000).catch(() => {})
      await Promise.all(asks.map((ask, at) => ask(request(`anything ${at}`))))
      expect(caches.map((cache) => cache.stats().certificate !== undefined)).toEqual([true, true, true])
      expect(caches.reduce((sum, cache) => sum + cache.stats().hits, 0)).toBeGreaterThan(0)
    } finally {
      for (const cache of caches) cache.close()
      for (const connection of connections) await connection.close()
      await server.close()
    }
  })
})
