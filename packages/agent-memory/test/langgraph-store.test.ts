import { connect } from '@evenkeel/core'
import { emptyCheckpoint, InMemoryStore, MemorySaver, uuid6 } from '@langchain/langgraph-checkpoint'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCheckpointSaver, createLangGraphStore } from '../src/adapters/langgraph/index.js'
import { useRedis } from './support.js'

const redis = useRedis()
const metadata = (step: number) => ({ source: 'loop' as const, step, parents: {} })

describe.each(['memory', 'redis'])('LangGraph, in %s', (where) => {
  /** With a long deadline: a busy machine is no outage here. */
  const connection = async () => {
    if (where === 'memory') return undefined
    const own = await connect({ url: redis.server.url, commandTimeout: '10s' })
    redis.atEnd(() => own.close())
    return own
  }

  it('keeps the values of a checkpoint without a parent that names nothing new, as MemorySaver does', async () => {
    const savers = [new MemorySaver(), createCheckpointSaver({ redis: await connection() })]
    const values = { list: ['question'], nothing: null, text: '' }
    const checkpoint = {
      ...emptyCheckpoint(),
      id: uuid6(1),
      channel_values: values,
      channel_versions: { list: 1 },
    }
    for (const saver of savers) {
      await saver.put({ configurable: { thread_id: 'copy', checkpoint_ns: '' } }, checkpoint, metadata(1), {})
      const tuple = await saver.getTuple({ configurable: { thread_id: 'copy' } })
      expect(tuple?.checkpoint.channel_values).toEqual(values)
    }
  })

  it('takes room by the messages of a list, not by their square, and reads lists of any length', async () => {
    const own = await connection()
    const saver = createCheckpointSaver({ redis: own })
    const list: { id: string; content: string }[] = []
    let config: Parameters<typeof saver.put>[0] = { configurable: { thread_id: 't', checkpoint_ns: '' } }
    const sizes: number[] = []
    for (let step = 1; step <= 1_100; step++) {
      list.push({ id: `m${step}`, content: 'x'.repeat(40) })
      if (step > 64 && step % 47 > 2) continue
      const checkpoint = {
        ...emptyCheckpoint(),
        id: uuid6(step),
        channel_values: { messages: [...list] },
        channel_versions: { messages: step },
      }
      config = await saver.put(config, checkpoint, metadata(step), { messages: step })
      if (own !== undefined) {
        const [key = ''] = (await redis.server.command('KEYS', '*:c')) as string[]
        const id = encodeURIComponent(checkpoint.id)
        sizes.push(String(await redis.server.command('HGET', key, `c||${id}`)).length)
      }
      if (step % 47 === 0 || step < 40) {
        const tuple = await saver.getTuple({ configurable: { thread_id: 't' } })
        expect(tuple?.checkpoint.channel_values.messages).toEqual(list)
      }
    }
    if (own !== undefined) expect(Math.max(...sizes)).toBeLessThan(1_500)
  })

  it('stores a checkpoint again whose elements Redis has lost', async () => {
    const saver = createCheckpointSaver({ redis: await connection() })
    const put = (length: number, id: number) =>
      saver.put(
        { configurable: { thread_id: 't', checkpoint_ns: '', checkpoint_id: 'before' } },
        {
          ...emptyCheckpoint(),
          id: uuid6(id),
          channel_values: { messages: Array.from({ length }, (_, index) => `m${index}`) },
          channel_versions: { messages: id },
        },
        metadata(id),
        { messages: id },
      )
    await put(31, 1)
    if (where === 'redis') await redis.server.command('FLUSHALL')
    await put(32, 2)
    const tuple = await saver.getTuple({ configurable: { thread_id: 't' } })
    expect(tuple?.checkpoint.channel_values.messages).toHaveLength(32)
  })

  it('gives items in the order of InMemoryStore, whatever program wrote them', async () => {
    const label = fc.constantFrom('a', 'b')
    const step = fc.record({
      namespace: fc.array(label, { minLength: 1, maxLength: 2 }),
      key: fc.constantFrom('1', '2', '3', '4'),
      value: fc.option(fc.record({ n: fc.integer({ min: 0, max: 2 }) }), { nil: null }),
    })
    const shared = await connection()
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.nat(4), async (steps, offset) => {
        const stores = [new InMemoryStore(), createLangGraphStore({ redis: shared, name: `store-${run++}` })]
        const found = []
        for (const store of stores) {
          for (const { namespace, key, value } of steps) {
            if (value === null) await store.delete(namespace, key)
            else await store.put(namespace, key, value)
          }
          const searches = [['a'], ['b'], ['a', 'b']].map(async (prefix) =>
            (await store.search(prefix, { limit: 3, offset })).map(({ namespace, key, value }) => [
              namespace,
              key,
              value,
            ]),
          )
          found.push(await Promise.all(searches))
        }
        for (const [index, search] of (found[1] ?? []).entries()) {
          const all = new Map((found[0]?.[index] ?? []).map((one) => [JSON.stringify(one), one]))
          expect(search).toHaveLength(all.size)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('misses and repeats no item while others are put', async () => {
    const store = createLangGraphStore({ redis: await connection() })
    const put = (from: number, count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, index) => store.put(['n'], `k${from + index}`, { index })),
      )
    for (let from = 0; from < 200; from += 20) await put(from, 20)
    const keys: string[] = []
    for (let offset = 0; offset < 200; offset += 25) {
      keys.push(...(await store.search(['n'], { limit: 25, offset })).map(({ key }) => key))
      await put(1_000 + offset, 5)
    }
    expect(new Set(keys.slice(0, 200)).size).toBe(200)
    expect(keys.slice(0, 200).every((key) => Number(key.slice(1)) < 200)).toBe(true)
  })
})
