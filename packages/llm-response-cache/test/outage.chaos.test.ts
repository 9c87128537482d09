import { type Connection, connect } from '@evenkeel/core'
import { deferred } from '@evenkeel/core/kit'
import { fairTime, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCache, createResponseCache, type ValueCache } from '../src/index.js'
import { chatCall, chatStream, chatUrl, completion, fakeProvider } from './fake.js'

describe('with Redis gone', () => {
  let server: RedisServer
  const open: { close(): unknown }[] = []

  beforeEach(async () => {
    server = await startRedis()
  })
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close()
    await server.close()
  })

  async function instance(
    url = server.url,
    options: { readonly lease?: '60s'; readonly maxEntryBytes?: number } = {},
  ): Promise<{ cache: ValueCache<string>; redis: Connection }> {
    const redis = await connect({ url, commandTimeout: 200 })
    const cache = createCache<string>({ kind: 'k', redis, ...options })
    open.push(redis, cache)
    return { cache, redis }
  }

  const back = (cache: ValueCache<string>) => until(() => cache.state === 'primary', 5_000)

  it('hits come from memory, calls go on at the provider’s own speed, and nobody waits for the dead', async () => {
    const { cache } = await instance()
    await cache.getOrSet('seen', async () => 'before')
    await until(() => cache.stats().stored === 1, 5_000)
    await server.kill()
    await until(() => cache.state === 'fallback', 5_000)
    using time = fairTime()
    for (let index = 0; index < 1_000; index++) {
      expect(await cache.getOrSet('seen', async () => 'never')).toBe('before')
      expect(await cache.getOrSet(`new ${index}`, async () => `value ${index}`)).toBe(`value ${index}`)
    }
    // Two thousand look-ups, one after the other; if a hundredth of them waited for the dead Redis, it would be this.
    expect(time.elapsedMs()).toBeLessThan(20 * 200)
    expect(cache.stats()).toMatchObject({ hits: 1_000, misses: 1_001 })
  })

  it.each(['freeze', 'kill'] as const)(
    'nothing that was invalidated meanwhile comes back (%s)',
    async (how) => {
      const { cache: one } = await instance()
      const { cache: two } = await instance()
      for (const key of ['tagged', 'deleted', 'kept']) {
        await one.getOrSet(key, async () => 'old', key === 'tagged' ? { tags: ['t'] } : {})
        await two.getOrSet(key, async () => 'never')
      }
      await until(() => one.stats().stored === 3, 5_000)
      if (how === 'freeze') server.freeze()
      else await server.kill()
      await one.invalidate({ tags: ['t'] })
      await one.delete('deleted')
      expect(await one.get('tagged')).toBeUndefined()
      expect(await one.get('deleted')).toBeUndefined()
      // The other instance could not be told, and still has its copy.
      expect(await two.get('tagged')).toBe('old')
      if (how === 'freeze') server.resume()
      else await server.restart()
      await Promise.all([back(one), back(two)])
      for (const cache of [one, two]) {
        expect(await cache.get('tagged')).toBeUndefined()
        expect(await cache.get('deleted')).toBeUndefined()
      }
      // A server that comes back empty has lost its versions: that may cause misses, but no deleted entry returns.
      if (how === 'freeze') expect(await two.get('kept')).toBe('old')
    },
  )

  it('what was answered meanwhile is handed over, and leaves alone what others wrote', async () => {
    const { cache: one } = await instance()
    await one.set('first', 'x')
    const proxy = await startProxy(server)
    open.push(proxy)
    const { cache: two } = await instance(proxy.url)
    await two.get('first')
    proxy.blackHole()
    await until(async () => {
      await two.get('first')
      return two.state === 'fallback'
    }, 3_000)
    for (let index = 0; index < 120; index++) await two.set(`mine ${index}`, 'from two')
    await two.set('shared', 'from two')
    await one.set('shared', 'from one')
    await proxy.restore()
    await back(two)
    await until(async () => (await one.get('mine 119')) === 'from two', 5_000)
    expect(await one.get('mine 0')).toBe('from two')
    expect(await one.get('shared')).toBe('from one')
  })

  it('a whole tenant cleared in the outage is cleared for all, with what was deleted beyond counting', async () => {
    const { cache: one } = await instance()
    const { cache: two } = await instance()
    await one.set('k', 'old')
    await two.get('k')
    server.freeze()
    await one.clear()
    expect(await one.get('k')).toBeUndefined()
    server.resume()
    await Promise.all([back(one), back(two)])
    expect(await two.get('k')).toBeUndefined()
  })

  it('a stream that is on its way goes on for its callers, and is kept when Redis is back', async () => {
    const redis = await connect({ url: server.url, commandTimeout: 200 })
    const cache = createResponseCache({ redis, lease: 500 })
    open.push(redis, cache)
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const events = chatStream('one two three').split(/(?<=\n\n)/)
    const provider = fakeProvider(() => {
      const left = [...events]
      const body = new ReadableStream<Uint8Array>({
        pull: async (controller) => {
          const next = left.shift()
          if (next === undefined) return controller.close()
          if (left.length === 2) await held
          controller.enqueue(new Uint8Array(Buffer.from(next)))
        },
      })
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    })
    const cached = cache.fetch({ fetch: provider.fetch })
    const call = chatCall('hi', {}, { stream: true })
    const answers = [cached(chatUrl, call), cached(chatUrl, call)].map(async (answer) =>
      (await answer).text(),
    )
    await until(() => provider.calls.length === 1, 5_000)
    server.freeze()
    await until(() => cache.state === 'fallback', 5_000)
    release()
    expect(await Promise.all(answers)).toEqual([events.join(''), events.join('')])
    await until(() => cache.stats().stored === 1, 5_000)
    server.resume()
    await until(() => cache.state === 'primary', 5_000)
    expect(await (await cached(chatUrl, call)).text()).toBe(events.join(''))
    expect(provider.calls).toHaveLength(1)
  })

  it('a full server, and one that was demoted, cost no answer', async () => {
    const { cache } = await instance()
    await server.command('CONFIG', 'SET', 'maxmemory', '1')
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    expect(await cache.getOrSet('full', async () => 'answer')).toBe('answer')
    await until(() => cache.stats().misses === 1, 5_000)
    expect(await cache.getOrSet('full', async () => 'again')).toBe('answer')
    await server.command('CONFIG', 'SET', 'maxmemory', '0')
    await back(cache)
    const { cache: other } = await instance()
    await server.command('REPLICAOF', '127.0.0.1', '1')
    expect(await other.getOrSet('demoted', async () => 'answer')).toBe('answer')
    await server.command('REPLICAOF', 'NO', 'ONE')
    await back(other)
    expect(await other.getOrSet('after', async () => 'answer')).toBe('answer')
  })

  it('a reply that is lost after the command ran costs a deadline, and no second call', async () => {
    const proxy = await startProxy(server)
    open.push(proxy)
    const { cache } = await instance(proxy.url)
    await cache.get('warm')
    proxy.dropReplies()
    let calls = 0
    const load = async () => {
      calls++
      await new Promise((resolve) => setTimeout(resolve, 20))
      return 'answer'
    }
    const answers = await Promise.all(Array.from({ length: 50 }, () => cache.getOrSet('k', load)))
    expect(new Set(answers)).toEqual(new Set(['answer']))
    expect(calls).toBe(1)
    await proxy.restore()
    await back(cache)
    expect(await cache.getOrSet('k', load)).toBe('answer')
  })

  it.each(['ended in the outage', 'was begun by a command whose reply was lost'])(
    'nobody waits for a lease of a call that %s',
    async (how) => {
      const proxy = await startProxy(server)
      open.push(proxy)
      const leases = { lease: '60s' } as const
      const { cache: cutOff } = await instance(proxy.url, leases)
      const { cache: other } = await instance(server.url, leases)
      await Promise.all([cutOff.get('warm'), other.get('warm')])
      const [asked, provider] = [deferred<void>(), deferred<string>()]
      if (how === 'ended in the outage') {
        const leading = cutOff.getOrSet('k', () => {
          asked.resolve()
          return provider.promise
        })
        await asked.promise
        await proxy.refuse()
        await until(() => cutOff.state === 'fallback', 5_000)
        provider.resolve('answer')
        expect(await leading).toBe('answer')
      } else {
        proxy.dropReplies(
          1,
          ([name, , keys, ...rest]) => name === 'EVALSHA' && keys === '2' && rest.length === 8,
        )
        expect(await cutOff.getOrSet('k', async () => 'answer')).toBe('answer')
      }
      using time = fairTime()
      const following = other.getOrSet('k', async () => 'answer')
      await proxy.restore()
      expect(await following).toBe('answer')
      expect(time.elapsedMs()).toBeLessThan(30_000)
    },
  )

  it('nobody waits in the next outage for a lease of a call that was begun in the one before', async () => {
    const proxy = await startProxy(server)
    open.push(proxy)
    const { cache } = await instance(proxy.url, { lease: '60s', maxEntryBytes: 1_000 })
    const [asked, provider] = [deferred<void>(), deferred<string>()]
    await proxy.refuse()
    await until(() => cache.state === 'fallback', 5_000)
    const tooLargeToBeKept = 'x'.repeat(2_000)
    const leading = cache.getOrSet('k', () => {
      asked.resolve()
      return provider.promise
    })
    await asked.promise
    await proxy.restore()
    await back(cache)
    provider.resolve(tooLargeToBeKept)
    expect(await leading).toBe(tooLargeToBeKept)
    await proxy.refuse()
    await until(() => cache.state === 'fallback', 5_000)
    using time = fairTime()
    expect(await cache.getOrSet('k', async () => 'answer')).toBe('answer')
    expect(time.elapsedMs()).toBeLessThan(30_000)
  })

  it('ten thousand look-ups in flight at a freeze are answered within a deadline', async () => {
    const redis = await connect({ url: server.url, commandTimeout: 200 })
    const cache = createResponseCache({ redis })
    open.push(redis, cache)
    const provider = fakeProvider(() => Response.json(completion('x')))
    const cached = cache.fetch({ fetch: provider.fetch })
    const askAll = async (kind: string) => {
      const began = performance.now()
      const answers = await Promise.all(
        Array.from({ length: 10_000 }, async (_, index) => {
          const response = await cached(chatUrl, chatCall(`${kind} ${index % 2_000}`))
          await response.arrayBuffer()
          return response.status
        }),
      )
      expect(new Set(answers)).toEqual(new Set([200]))
      return performance.now() - began
    }
    const withRedis = await askAll('up')
    server.freeze()
    // The deadline of 200 ms once, and no more work than with Redis; the rest is for what else the machine does.
    expect(await askAll('frozen')).toBeLessThan(200 + 2 * withRedis + 2_000)
    // Twice two thousand prompts, each asked for by five at once.
    expect(provider.calls.length).toBeLessThanOrEqual(4_000)
    server.resume()
  })
})
