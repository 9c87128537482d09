import { connect } from '@evenkeel/core'
import { flavours, startRedis } from '@evenkeel/test-servers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createChats } from '../src/adapters/ai-sdk.js'
import { createAgentSession } from '../src/adapters/openai-agents.js'
import { createAgentMemory, type Embedder } from '../src/index.js'
import { MemoryRecall } from '../src/recall/memory.js'
import { RedisRecall } from '../src/recall/redis.js'
import { MemoryThreadStore } from '../src/store.js'
import { useRedis, user } from './support.js'

const redis = useRedis()
const words = ['billing', 'cat', 'dog', 'travel']
const vectorOf = (text: string) => words.map((word) => text.split(word).length - 1 + 0.01)
const embed: Embedder = { model: 'words', embed: async (texts) => texts.map(vectorOf) }

describe.each(['memory', 'redis'])('recall, in %s', (where) => {
  const make = async (own: Embedder = embed) =>
    where === 'memory' ? createAgentMemory({ embed: own }) : (await redis.instance({ embed: own })).memory

  it('finds what was said in any thread of the owner, and nothing that was deleted', async () => {
    const memory = await make()
    const owner = memory.owner('u')
    await owner.thread('a').append([user('1', 'about my cat'), { role: 'system', content: 'cat cat' }])
    await owner
      .thread('b')
      .append([
        { id: '2', role: 'assistant', content: [{ type: 'text', text: 'we decided on billing by month' }] },
        user('3', 'a dog and a cat'),
      ])
    await memory.owner('other').thread('x').append(user('4', 'cat'))
    await owner.recallable()
    const ids = async (query: string) =>
      (await owner.recall(query, { k: 2 })).map((hit) => (hit.kind === 'message' ? hit.message.id : hit.text))
    expect(await ids('cat')).toEqual(['1', '3'])
    const [hit] = await owner.recall('what did we decide about billing?', { k: 1, minScore: 0.9 })
    expect(hit).toMatchObject({ kind: 'message', thread: 'b', text: 'we decided on billing by month' })
    await owner.thread('a').remove('1')
    expect(await ids('cat')).toEqual(['3', '2'])
    await owner.thread('b').delete()
    expect(await ids('cat')).toEqual([])
  })

  it('finds what came by a draft, an adapter or an edit, and no words that were edited away', async () => {
    const owner = (await make()).owner('u')
    const draft = owner.thread('a').draft()
    draft.write('by month')
    await draft.finalize({ role: 'assistant', content: 'billing by month' })
    const content = [{ type: 'output_text' as const, text: 'travel by train' }]
    const item = { type: 'message', role: 'assistant', status: 'completed', content } as const
    await createAgentSession(owner.thread('b')).addItems([item])
    await owner.thread('c').append(user('edited', 'about my cat'))
    await owner.recallable()
    await owner.thread('c').edit('edited', user('edited', 'about my dog'))
    await owner.recallable()
    const found = async (query: string) =>
      (await owner.recall(query, { k: 1, minScore: 0.9 })).map((hit) => hit.text)
    expect(await found('billing')).toEqual(['billing by month'])
    expect(await found('travel')).toEqual(['travel by train'])
    expect([await found('cat'), await found('dog')]).toEqual([[], ['about my dog']])
    const parts = [{ type: 'text' as const, text: 'another cat' }]
    await createChats(owner).save({ chatId: 'd', messages: [{ id: 'ui', role: 'user', parts }] })
    await owner.recallable()
    expect(await found('cat')).toEqual(['another cat'])
  })

  it('embeds again what could not be embedded once', async () => {
    let failures = 1
    const owner = (
      await make({
        model: 'words',
        embed: async (texts) => {
          if (failures-- > 0) throw new Error('a moment of weakness')
          return texts.map(vectorOf)
        },
      })
    ).owner('u')
    const threads = Array.from({ length: 30 }, (_, index) => owner.thread(`t${index}`))
    await Promise.all(threads.map((thread) => thread.append({ role: 'user', content: 'my cat' })))
    await owner.recallable()
    expect(await owner.recall('cat', { k: 40 })).toHaveLength(30)
  })

  it('keeps facts: each once, until another one supersedes it', async () => {
    const { facts } = (await make()).owner('u')
    const first = await facts.add('Has a cat', { metadata: { by: 'user' } })
    expect((await facts.add(' has a  CAT')).id).toBe(first.id)
    const second = await facts.add('Has a dog', { supersedes: first.id })
    expect((await facts.list()).map(({ text }) => text)).toEqual(['Has a dog'])
    await facts.delete(second.id)
    expect(await facts.list()).toEqual([])
  })

  it('never delays an append, nor fails it, whatever the embedder does', async () => {
    const slow = await make({ model: 'm', embed: () => new Promise(() => {}) })
    expect(await slow.owner('u').thread('t').append(user('a'))).toMatchObject({ status: 'stored' })
    const failing = await make({ model: 'm', embed: () => Promise.reject(new Error('no model')) })
    await failing.owner('u').thread('t').append(user('b'))
    await failing.owner('u').recallable()
    await expect(failing.owner('u').recall('b')).rejects.toThrow('no model')
  })

  it('refuses bad input, and says what is missing', async () => {
    const owner = (await make()).owner('u')
    await expect(owner.recall('')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(owner.recall('x', { k: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(createAgentMemory().owner('u').recall('x')).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})

it('an erasure takes what can be recalled with it', async () => {
  const { memory } = await redis.instance({ embed })
  const owner = memory.owner('u')
  await owner.thread('t').append(user('a', 'cat'))
  await owner.facts.add('Has a cat')
  await owner.recallable()
  await owner.erase()
  const keys = (await redis.server.command('KEYS', '*')) as string[]
  expect(keys).toEqual(['evenkeel:agent-memory:{u}:o'])
})

describe.each(flavours())('recall on $name', (flavour) => {
  it('finds the same as an exact search in memory', async () => {
    await using server = await startRedis({ flavour })
    await using connection = await connect({ url: server.url })
    const vector = fc
      .array(fc.integer({ min: -9, max: 9 }), { minLength: 4, maxLength: 4 })
      .filter((numbers) => numbers.some((one) => one !== 0))
      .map((numbers) => Float32Array.from(numbers))
    // Ids that our own fields beside the items have, or had.
    const namedLikeOurs = ['x', '_n', '_g', ':n', ':g', 'v:x'].map((id, index) => ({
      id,
      payload: '{}',
      vector: Float32Array.from([0, 0, 1, index]),
    }))
    let round = 0
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.record({ id: fc.string({ minLength: 1 }), vector, payload: fc.json() }), {
          selector: ({ id }) => id,
          minLength: 1,
          maxLength: 20,
        }),
        vector,
        async (items, query) => {
          const stores = [
            new MemoryRecall(new MemoryThreadStore()),
            new RedisRecall(connection, 60_000),
            new RedisRecall(connection, 60_000, false),
          ]
          const removed = items.slice(0, 1).map(({ id }) => id)
          const scores = []
          for (const store of stores) {
            const owner = `o${round++}`
            await store.put(owner, items, [])
            await store.put(owner, [], removed)
            const hits = await store.search(owner, query, 5)
            scores.push(hits.map(({ score }) => Math.round(score * 1e3) / 1e3 + 0))
            expect((await store.all(owner)).size).toBe(items.length - 1)
          }
          for (const found of scores.slice(1)) {
            for (const [index, score] of found.entries())
              expect(score).toBeCloseTo(scores[0]?.[index] ?? 9, 2)
          }
        },
      ),
      { numRuns: 40, examples: [[namedLikeOurs, Float32Array.from([0, 0, 0, 1])]] },
    )
  })
})
