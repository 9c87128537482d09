import { until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'
import { createResponseCache, type ResponseCache } from '../../src/index.js'
import { createSemanticCache, lexicalEmbedder, type SemanticCache } from '../../src/semantic/index.js'
import { chatCall, chatStream, chatUrl, completion, fakeProvider, sse } from '../fake.js'
import { useRedis } from '../support.js'
import { seededRandom } from './labelled-set.js'

const redisOf = useRedis()
const embed = lexicalEmbedder()

/** The answer to a question, equal for questions about the same number. */
const answerTo = (content: string) => `reset ${/\d+/.exec(content)?.[0] ?? content}`

describe.each(['memory', 'Redis'])('semantic hits in fetch(), in %s', (where) => {
  let cache: ResponseCache
  let semantic: SemanticCache
  afterEach(async () => {
    await cache.close()
    await semantic.close()
  })

  it('serve an answer in other words once that is proved, in any form, and say so', async () => {
    const redis = where === 'Redis' ? await redisOf.connect() : undefined
    const tenant = `semantic ${where}`
    const lenient = { embed, model: 'lexical-1', maxErrorRate: 0.2, confidence: 0.9 }
    semantic = createSemanticCache({ redis, tenant, ...lenient, random: seededRandom(1) })
    cache = createResponseCache({ redis, tenant, semantic })
    const provider = fakeProvider((body) => {
      const answer = answerTo((body.messages as { content: string }[]).at(-1)?.content ?? '')
      return body.stream === true ? sse(chatStream(answer, true)) : Response.json(completion(answer))
    })
    const cached = cache.fetch({ fetch: provider.fetch })
    const ask = async (content: string, more: object = {}) => {
      const { stored } = cache.stats()
      const response = await cached(chatUrl, chatCall(content, {}, more))
      const text = await response.text()
      const outcome = response.headers.get('x-evenkeel-cache')
      if (outcome === 'miss') await until(() => cache.stats().stored > stored, 5_000)
      await semantic.settled()
      return { text, told: response.headers.get('x-evenkeel-semantic'), outcome }
    }
    // Nothing is served before it is proved: until then each look is an audit.
    for (let at = 0; semantic.stats().certificate === undefined && at < 200; at++) {
      for (const words of [
        `How do I reset the password of account ${at}?`,
        `Please tell me in a few short words how to reset the forgotten password of my account ${at}`,
      ]) {
        expect((await ask(words)).told).toBeNull()
      }
    }
    expect(semantic.stats().certificate).toBeDefined()
    await ask('How can I change the email address of my profile 7?')
    const served: Awaited<ReturnType<typeof ask>>[] = []
    for (const polite of ['Please tell me', 'Kindly tell me', 'Could you tell me', 'Just tell me']) {
      const more = { stream: true, stream_options: { include_usage: true } }
      served.push(await ask(`${polite} how I can change the email address of my profile 7`, more))
    }
    const hits = served.filter(({ told }) => told !== null)
    expect(hits.length).toBeGreaterThan(0)
    for (const { outcome, told, text } of hits) {
      expect(outcome).toBe('hit')
      expect(told).toMatch(/^similarity=[01]\.\d+, confidence=0\.\d+, id=".+"$/)
      expect(text).toContain('"total_tokens":17')
      expect(text).toContain('data: [DONE]')
    }
    // Another number is another question, another model another answer.
    expect((await ask('Please tell me how I can change the email address of my profile 8')).told).toBeNull()
    expect((await ask('How can I change the email address of my profile 7', { model: 'n' })).told).toBeNull()
  })

  it('cost no answer when the embedder fails', async () => {
    semantic = createSemanticCache({
      model: 'e',
      timeout: 50,
      embed: async () => {
        throw new Error('down')
      },
    })
    cache = createResponseCache({ semantic })
    const provider = fakeProvider(() => Response.json(completion('x')))
    const response = await cache.fetch({ fetch: provider.fetch })(chatUrl, chatCall('hi'))
    expect(response.status).toBe(200)
    // The options of one will do, too.
    const own = createResponseCache({ semantic: { embed, model: 'e' } })
    expect((await own.fetch({ fetch: provider.fetch })(chatUrl, chatCall('refund'))).status).toBe(200)
    await own.close()
  })
})
