import { expect, it, vi } from 'vitest'
import { createCache, createResponseCache } from '../src/index.js'
import type { CacheEvents } from '../src/usage/events.js'
import { chatCall, chatUrl, completion, fakeProvider, settled } from './fake.js'

const names = ['hit', 'miss', 'coalesced', 'stale', 'bypass', 'stored', 'failed'] as const

/** Collects the events of a cache, in their order. */
function told(cache: { on: (event: keyof CacheEvents, listener: (event: object) => void) => () => void }) {
  const events: [string, object][] = []
  const stops = names.map((name) => cache.on(name, (event) => events.push([name, event])))
  return {
    take: () => events.splice(0),
    kinds: () => events.splice(0).map(([name]) => name),
    stop: () => {
      for (const stop of stops) stop()
    },
  }
}

it('a cache tells of each call what became of it, with its entry and what was saved, and no prompt', async () => {
  let now = 1_000_000
  const clock = { now: () => now, monotonic: () => now }
  const cache = createResponseCache({
    clock,
    ttl: '10s',
    jitter: 0,
    earlyRefresh: 0,
    staleWhileRevalidate: '10s',
  })
  const events = told(cache)
  let isFailing = false
  const provider = fakeProvider(() => {
    if (isFailing) return Response.json({ error: { message: 'c4nary' } }, { status: 500 })
    return Response.json(completion('c4nary'))
  })
  const fetch = cache.fetch({ fetch: provider.fetch, tenant: 'acme' })
  const ask = async (prompt: string, more: object = {}) => {
    await (await fetch(chatUrl, chatCall(prompt, {}, more))).text()
    await settled()
  }
  await ask('c4nary')
  const name = expect.stringMatching(/^llm_response:[\w.]+:m:[\w-]{43}$/)
  const of = { tenant: 'acme', model: 'm', name }
  expect(events.take()).toEqual([
    ['miss', { ...of, tokensSaved: 0 }],
    ['stored', of],
  ])
  await ask('c4nary')
  expect(events.take()).toEqual([['hit', { ...of, tokensSaved: 17 }]])
  await Promise.all([ask('both'), ask('both')])
  expect(events.kinds().sort()).toEqual(['coalesced', 'miss', 'stored'])
  now += 11_000
  await ask('c4nary')
  expect(events.kinds()).toEqual(['stale', 'stored'])
  await ask('another', { temperature: 1, web_search_options: {} })
  expect(events.take()).toEqual([
    ['bypass', { tenant: 'acme', model: 'unknown', name: undefined, reason: 'unknown-field' }],
  ])
  isFailing = true
  await ask('fails')
  expect(events.kinds().sort()).toEqual(['failed', 'miss'])
  events.stop()
  await ask('c4nary')
  expect(events.take()).toEqual([])
  await cache.close()
})

it('functions, values and vectors tell of theirs', async () => {
  const cache = createResponseCache()
  const events = told(cache)
  const generate = cache.wrap(async (text: string) => ({ text }), { name: 'generate' })
  await generate('a')
  await settled()
  await generate('a')
  expect(events.kinds()).toEqual(['miss', 'stored', 'hit'])
  await cache.with({ useCache: false }, () => generate('a'))
  expect(events.take()).toMatchObject([['bypass', { reason: 'asked-for' }]])
  const embed = async (texts: readonly string[]) => texts.map(() => [1, 2])
  await cache.embeddings(['x', 'y'], { model: 'e', embed })
  await settled()
  await cache.embeddings(['x'], { model: 'e', embed })
  expect(events.kinds().sort()).toEqual(['hit', 'miss', 'miss', 'stored', 'stored'])
  await cache.close()

  const search = createCache<string>({ kind: 'search-results' })
  const found = told(search)
  await search.getOrSet('boats', async () => 'many')
  await settled()
  await search.getOrSet('boats', async () => 'many')
  await search.set('keels', 'few')
  await expect(search.getOrSet('none', () => Promise.reject(new Error('down')))).rejects.toThrow('down')
  expect(found.take()).toMatchObject([
    ['miss', { name: 'boats' }],
    ['stored', { name: 'boats' }],
    ['hit', { name: 'boats' }],
    ['stored', { name: 'keels' }],
    ['failed', { name: 'none' }],
  ])
  await search.close()
})

it('a listener that throws is warned of, and costs nobody an answer', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  const cache = createResponseCache()
  const heard: string[] = []
  cache.on('miss', () => {
    throw new Error('a listener of the host')
  })
  cache.on('miss', ({ tenant }) => heard.push(tenant))
  const answer = cache.wrap(async (text: string) => text, { name: 'answer' })
  expect(await answer('a')).toBe('a')
  expect(heard).toEqual(['default'])
  expect(warned.mock.calls.join()).toContain('a listener of the host')
  warned.mockRestore()
  await cache.close()
})
