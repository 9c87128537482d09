import { expect, it } from 'vitest'
import { createResponseCache } from '../src/index.js'
import { createSemanticCache, lexicalEmbedder } from '../src/semantic/index.js'
import { useRedis } from './support.js'

const redisOf = useRedis()

const named = <T extends object>(name: string, call: T): T =>
  Object.defineProperty(call, 'name', { value: name })

/** A build of a service, whose minifier has chosen the name of what it wraps. */
async function build<T>(name: string, call: (text: string) => Promise<T>) {
  const cache = redisOf.own(createResponseCache({ redis: await redisOf.connect(), tenant: 'minified' }))
  return cache.wrap(named(name, call))
}

it('the next build’s function of the same short name does not find this one’s answers', async () => {
  const summary = await build('e', async (text) => `summary of ${text}`)
  expect(await summary.detailed('x')).toMatchObject({ outcome: 'miss', value: 'summary of x' })
  const translation = await build('e', async (text) => `translation of ${text}`)
  expect(await translation.detailed('x')).toMatchObject({ outcome: 'miss', value: 'translation of x' })
  const sameSummary = await build('e', async (text) => `summary of ${text}`)
  expect(await sameSummary.detailed('x')).toMatchObject({ outcome: 'hit', value: 'summary of x' })
})

it('a long name alone is what a function is known by', async () => {
  const one = await build('summarise', async (text) => `summary of ${text}`)
  expect((await one.detailed('x')).outcome).toBe('miss')
  const changed = await build('summarise', async (text) => `better summary of ${text}`)
  expect((await changed.detailed('x')).outcome).toBe('hit')
})

it('a semantic cache does not confuse them either, nor two functions of one build', async () => {
  const kept = new Map<string, unknown>()
  const answers = {
    get: async (key: string) => kept.get(key),
    set: async (key: string, answer: unknown) => void kept.set(key, answer),
  }
  const semantic = () =>
    createSemanticCache({ embed: lexicalEmbedder(), model: 'lexical-1', maxErrorRate: 0.2, answers })
  const [first, next] = [semantic(), semantic()]
  const summary = first.wrap(named('e', async (text: string) => `summary of ${text}`))
  expect(() => first.wrap(named('e', async (text: string) => `other ${text}`))).toThrow(
    'another wrapped function',
  )
  const translation = next.wrap(named('e', async (text: string) => `translation of ${text}`))
  expect(await summary('what is a heron?')).toBe('summary of what is a heron?')
  expect(await translation('what is a heron?')).toBe('translation of what is a heron?')
  expect(await summary.detailed('what is a heron?')).toMatchObject({ outcome: 'hit' })
  for (const cache of [first, next]) await cache.close()
})
