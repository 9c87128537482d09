import { createAgentMemory, type Embedder } from '@evenkeel/agent-memory'
import { createCheckpointSaver, createLangGraphStore } from '@evenkeel/agent-memory/langgraph'
import { createSessions } from '@evenkeel/agent-memory/sessions'
import { RedisThreadStore } from '@evenkeel/agent-memory/store'
import { testThreadStore } from '@evenkeel/agent-memory/testing'
import { passTime } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { proveRules } from './proof.js'

/** The embedder's dimensions, one for each word, which is enough to find a word. */
const words = ['cat', 'dog', 'billing', 'month']
const embedder: Embedder = {
  model: 'words',
  embed: async (texts) => texts.map((text) => words.map((word) => (text.includes(word) ? 1 : 0.01))),
}

proveRules('agent-memory', ({ redis }) => {
  testThreadStore('Redis', { create: () => new RedisThreadStore(redis()), pass: passTime })

  const withMemory = async (work: (memory: ReturnType<typeof createAgentMemory>) => Promise<void>) => {
    const memory = createAgentMemory({ redis: redis(), feed: true, embed: embedder })
    try {
      await work(memory)
    } finally {
      await memory.close()
    }
  }

  it('drafts are written, followed, finalized and recovered', () =>
    withMemory(async (memory) => {
      const thread = memory.owner('u').thread('t')
      const draft = thread.draft({ id: 'd' })
      draft.write('Hel')
      await draft.flush()
      expect(await thread.drafts()).toEqual(['d'])
      draft.write('lo')
      expect(await draft.finalize({ id: 'm', role: 'assistant', content: 'Hello' })).toMatchObject({
        status: 'stored',
      })
      let text = ''
      for await (const piece of thread.follow('d')) text += piece.text
      expect(text).toBe('Hello')
      const lost = thread.draft({ id: 'lost' })
      lost.write('so far')
      await lost.flush()
      expect(await thread.recover('lost', { idle: 0 })).toMatchObject({ content: 'so far' })
    }))

  it('what was said is recalled, and facts are kept', () =>
    withMemory(async (memory) => {
      const owner = memory.owner('u')
      await owner.thread('t').append([
        { id: '1', role: 'user', content: 'about my cat' },
        { id: '2', role: 'user', content: 'billing by month' },
      ])
      await owner.recallable()
      expect(await owner.recall('cat', { k: 1 })).toMatchObject([{ text: 'about my cat' }])
      await owner.thread('t').remove('1')
      const fact = await owner.facts.add('Has a dog')
      await owner.facts.delete(fact.id)
      expect(await owner.facts.list()).toEqual([])
    }))

  it('an owner is listed, backed up, erased and restored', () =>
    withMemory(async (memory) => {
      const owner = memory.owner('u')
      const thread = owner.thread('t')
      for (let index = 0; index < 4; index++)
        await thread.append({ role: 'user', content: `message ${index}` })
      await thread.compact({ summarize: async () => 'so far', keepMessages: 1 })
      await thread.fork({ id: 'copy' })
      const draft = thread.draft({ id: 'd' })
      draft.write('left behind')
      await draft.flush()
      const owners: string[] = []
      for await (const one of memory.owners()) owners.push(one)
      expect(owners).toEqual(['u'])
      const lines: string[] = []
      for await (const line of memory.backup()) lines.push(line)
      expect(await owner.erase()).toMatchObject({ threads: 2, verified: true })
      await memory.restore(lines)
      expect((await memory.verify(lines)).different).toEqual([])
    }))

  it('what was written while an owner was erased is told from what is left', () =>
    withMemory(async (memory) => {
      const store = new RedisThreadStore(redis())
      await memory.owner('u').thread('t').append({ role: 'user', content: 'hello' })
      await store.erase('u')
      const draft = memory.owner('u').thread('t').draft({ id: 'later' })
      draft.write('after the erasure')
      await draft.flush()
      expect(await store.remains('u')).toBe(0)
    }))

  it('sessions are made, changed, rotated, listed and revoked', async () => {
    const sessions = createSessions({ redis: redis() })
    try {
      const { id } = await sessions.create({ n: 1 }, { user: 'u' })
      await sessions.patch(id, { m: 2 })
      await sessions.patch(id, { m: 3 }, { replace: true })
      const rotated = (await sessions.rotate(id)) ?? ''
      expect((await sessions.get(rotated))?.data).toEqual({ m: 3 })
      expect(await sessions.touch(rotated, { ttl: '1h' })).toBe(true)
      expect(await sessions.list('u')).toHaveLength(1)
      expect(await sessions.revokeAll('u')).toBe(1)
      expect(await sessions.destroy(rotated)).toBe(false)
    } finally {
      await sessions.close()
    }
  })

  it('checkpoints of LangGraph are put, listed and deleted', async () => {
    const saver = createCheckpointSaver({ redis: redis(), ttl: '1h' })
    const checkpoint = {
      v: 4,
      id: '1ef4f797-8335-6428-8001-8a1503f9b875',
      ts: '2026-01-01T00:00:00.000Z',
      channel_values: { messages: ['a'] },
      channel_versions: {},
      versions_seen: {},
    }
    const thread = { configurable: { thread_id: 't' } }
    const config = await saver.put(
      thread,
      checkpoint,
      { source: 'loop', step: 1, parents: {} },
      { messages: 1 },
    )
    await saver.putWrites(config, [['c', 1]], 'task')
    expect(await saver.getTuple(thread)).toMatchObject({ pendingWrites: [['task', 'c', 1]] })
    const listed: unknown[] = []
    for await (const { config: one } of saver.list({})) listed.push(one.configurable?.thread_id)
    expect(listed).toEqual(['t'])
    await saver.deleteThread('t')
    expect(await saver.getTuple(thread)).toBeUndefined()
  })

  it('documents of a LangGraph store are put, searched, listed and deleted', async () => {
    const store = createLangGraphStore({ redis: redis() })
    await store.put(['a', 'b'], 'k', { v: 1 })
    expect((await store.get(['a', 'b'], 'k'))?.value).toEqual({ v: 1 })
    expect((await store.search(['a']))[0]?.value).toEqual({ v: 1 })
    expect(await store.listNamespaces({ prefix: ['a'] })).toEqual([['a', 'b']])
    await store.delete(['a', 'b'], 'k')
    expect(await store.search(['a'])).toEqual([])
  })
})
