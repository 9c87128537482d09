import { until } from '@evenkeel/test-servers'
import fc from 'fast-check'
import OpenAI from 'openai'
import { describe, expect, it } from 'vitest'
import { createResponseCache } from '../src/index.js'
import { fakeProvider, settled } from './fake.js'
import { useRedis } from './support.js'

const redisOf = useRedis()

/** The vector of a text, which no other text has. */
const vectorOf = (text: string) =>
  Array.from({ length: 4 }, (_, at) =>
    Math.fround(
      Math.sin(
        at +
          1 +
          ([...text].reduce((sum, character) => sum * 31 + (character.codePointAt(0) ?? 0), 7) % 100_003),
      ),
    ),
  )

/** A provider that answers in an order of its own, with the index of each. */
function embeddingProvider() {
  return fakeProvider((body) => {
    const input = body.input as string[]
    const data = input
      .map((text, index) => ({ object: 'embedding', index, embedding: vectorOf(text) }))
      .reverse()
    return Response.json({
      object: 'list',
      model: body.model,
      data,
      usage: { prompt_tokens: input.length * 3, total_tokens: input.length * 3 },
    })
  })
}

describe('embeddings', () => {
  it('of a batch of 100 with 97 known ask for 3', async () => {
    const cache = createResponseCache()
    const asked: string[][] = []
    const embed = async (texts: readonly string[]) => {
      asked.push([...texts])
      return texts.map(vectorOf)
    }
    const texts = Array.from({ length: 100 }, (_, index) => `text ${index}`)
    await cache.embeddings(texts.slice(0, 97), { model: 'e', embed })
    const vectors = await cache.embeddings(texts, { model: 'e', embed })
    expect(asked.map(({ length }) => length)).toEqual([97, 3])
    expect(vectors.map((vector) => [...vector])).toEqual(texts.map(vectorOf))
    expect(cache.stats()).toMatchObject({ hits: 97, misses: 100 })
    // Each caller gets its own copies of the vectors.
    vectors[0]?.fill(0)
    expect([...((await cache.embeddings(['text 0'], { model: 'e', embed }))[0] ?? [])]).toEqual(
      vectorOf('text 0'),
    )
  })

  it('are each at the entryKey of their text, whatever is known, asked twice or under way', async () => {
    const redis = await redisOf.connect()
    const texts = fc.array(fc.constantFrom(...Array.from({ length: 12 }, (_, index) => `t${index}`)), {
      maxLength: 20,
    })
    const batches = fc.array(texts, { minLength: 1, maxLength: 4 })
    let run = 0
    await fc.assert(
      fc.asyncProperty(batches, fc.boolean(), async (all, atOnce) => {
        const cache = createResponseCache({ redis, tenant: `run ${run++}` })
        let asked = 0
        const embed = async (own: readonly string[]) => {
          asked += own.length
          await settled()
          return own.map(vectorOf)
        }
        const get = async (batch: readonly string[]) =>
          (await cache.embeddings(batch, { model: 'e', embed })).map((vector) => [...vector])
        const answers: number[][][] = []
        if (atOnce) answers.push(...(await Promise.all(all.map(get))))
        else for (const batch of all) answers.push(await get(batch))
        expect(answers).toEqual(all.map((batch) => batch.map(vectorOf)))
        if (!atOnce) expect(asked).toBe(new Set(all.flat()).size)
        await cache.close()
      }),
      { numRuns: 60 },
    )
  })

  it('that are no vectors are an error for their callers, and are not kept', async () => {
    const cache = createResponseCache()
    const bad: (readonly number[])[][] = [[[1]], [[1], [Number.NaN]], [[1], []], [[1], [0]]]
    for (const answer of bad) {
      await expect(cache.embeddings(['a', 'b'], { model: 'e', embed: async () => answer })).rejects.toThrow(
        'usable',
      )
    }
    expect(cache.stats()).toMatchObject({ stored: 0, errors: bad.length })
    await expect(
      cache.embeddings('a' as unknown as string[], { model: 'e', embed: async () => [] }),
    ).rejects.toMatchObject({ field: 'texts' })
    await expect(cache.embeddings(['a'], { model: '', embed: async () => [] })).rejects.toMatchObject({
      field: 'model',
    })
    expect(await cache.embeddings([], { model: 'e', embed: async () => [] })).toEqual([])
  })

  it('go through an SDK input by input, in its encoding, with their usage', async () => {
    const redis = await redisOf.connect()
    const cache = redisOf.own(createResponseCache({ redis, tenant: 'sdk' }))
    const provider = embeddingProvider()
    const client = new OpenAI({
      apiKey: 'k',
      baseURL: 'https://api.example.com/v1',
      fetch: cache.fetch({ fetch: provider.fetch }),
    })
    const create = (input: string[]) =>
      client.embeddings.create({ model: 'e', input, encoding_format: 'float' })
    const first = await create(['a', 'b', 'a'])
    expect(first.data.map(({ embedding }) => embedding)).toEqual(['a', 'b', 'a'].map(vectorOf))
    expect(first.data.map(({ index }) => index)).toEqual([0, 1, 2])
    await until(() => cache.stats().stored === 2, 5_000)
    const second = await create(['c', 'b', 'a', 'd'])
    expect(second.data.map(({ embedding }) => embedding)).toEqual(['c', 'b', 'a', 'd'].map(vectorOf))
    expect(provider.calls.map(({ body }) => body.input)).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ])
    // The usage of the two that were asked for, plus the recorded usage of the two from the cache.
    expect(second.usage).toEqual({ prompt_tokens: 12, total_tokens: 12 })
    expect(await create(['a', 'b', 'c', 'd'])).toMatchObject({ object: 'list', model: 'e' })
    expect(provider.calls).toHaveLength(2)
    expect(cache.stats()).toMatchObject({ hits: 1, misses: 2, tokensSaved: 18 })
  })

  it('that a provider answers in an unknown shape are passed on, and not kept', async () => {
    const cache = createResponseCache()
    const answer = {
      object: 'list',
      data: [
        { index: 0, embedding: [1] },
        { index: 0, embedding: [2] },
      ],
      usage: {},
    }
    const provider = fakeProvider(() => Response.json(answer))
    const cached = cache.fetch({ fetch: provider.fetch })
    const ask = async () => {
      const body = JSON.stringify({ model: 'e', input: ['a', 'b'] })
      const response = await cached('https://api.example.com/v1/embeddings', { method: 'POST', body })
      return [response.headers.get('x-evenkeel-cache'), await response.json()]
    }
    expect(await ask()).toEqual(['miss', answer])
    expect(await ask()).toEqual(['miss', answer])
    expect(cache.stats().stored).toBe(0)
  })
})
