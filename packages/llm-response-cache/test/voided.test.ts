import { startProxy, until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { createCache, createResponseCache, type ResponseCache, type ValueCache } from '../src/index.js'
import { chatCall, chatStream, chatUrl, completion, fakeProvider, settled } from './fake.js'
import { useRedis } from './support.js'

const redisOf = useRedis()
let tenants = 0

/** Loads that end when they are told to, in the order in which they began. */
function slowLoads() {
  const begun: ((value: string) => void)[] = []
  const load = () =>
    new Promise<string>((resolve) => {
      begun.push(resolve)
    })
  return { load, begun, began: (count: number) => until(() => begun.length === count, 10_000) }
}

describe('what is under way when it is deleted', () => {
  async function instances(): Promise<[ValueCache<string>, ValueCache<string>]> {
    const tenant = `t${tenants++}`
    const make = async () =>
      redisOf.own(createCache<string>({ kind: 'k', redis: await redisOf.connect(), tenant, l1Ttl: 0 }))
    return [await make(), await make()]
  }

  it.each([
    ['delete, by itself', (one: ValueCache<string>) => one.delete('a:k')],
    ['delete, by another instance', (_: ValueCache<string>, two: ValueCache<string>) => two.delete('a:k')],
    ['clear by pattern, by itself', (one: ValueCache<string>) => one.clear({ pattern: 'a:*' })],
    [
      'clear by pattern, by another instance',
      (_: ValueCache<string>, two: ValueCache<string>) => two.clear({ pattern: 'a:*' }),
    ],
    [
      'a tag, by another instance',
      (_: ValueCache<string>, two: ValueCache<string>) => two.clear({ tag: 't' }),
    ],
    ['all, by another instance', (_: ValueCache<string>, two: ValueCache<string>) => two.clear()],
  ])('goes to who waits, and is not kept: %s', async (name, forget) => {
    const isByItself = name.endsWith('itself')
    const [one, two] = await instances()
    const { load, begun, began } = slowLoads()
    const options = { tags: ['t'] }
    const first = one.getOrSet('a:k', load, options)
    await began(1)
    const following = two.detailed('a:k', load, options)
    const followers = async () => {
      const [lease = ''] = (await redisOf.server.command('KEYS', '*a:k}:lease')) as string[]
      return lease === '' ? '0' : String(await redisOf.server.command('HGET', lease, 'followers'))
    }
    await until(async () => (await followers()) === '1', 5_000)
    await forget(one, two)
    // From now on a caller on the instance that forgot makes its own call, or shares one that began later.
    const later = (isByItself ? one : two).getOrSet('a:k', load, options)
    await until(() => begun.length >= 2, 10_000)
    begun[0]?.('old')
    expect(await first).toBe('old')
    const ending = setInterval(() => {
      for (const resolve of begun.slice(1)) resolve('new')
    }, 5)
    expect(await later).toBe('new')
    expect(['old', 'new']).toContain((await following).value)
    clearInterval(ending)
    await until(async () => (await one.get('a:k')) !== undefined, 10_000)
    expect([await one.get('a:k'), await two.get('a:k')]).toEqual(['new', 'new'])
  })

  it('of another name or tenant is kept all the same', async () => {
    const [one, two] = await instances()
    const { load, begun, began } = slowLoads()
    const all = [
      one.getOrSet('b:k', load),
      one.getOrSet('a:k', load, { tenant: `t${tenants}` }),
      one.getOrSet('a:k', load),
    ]
    await began(3)
    await two.clear({ pattern: 'a:*' })
    for (const resolve of begun) resolve('x')
    await Promise.all(all)
    await until(async () => (await two.get('b:k')) === 'x', 5_000)
    await until(async () => (await two.get('a:k', { tenant: `t${tenants}` })) === 'x', 5_000)
    expect(await two.get('a:k')).toBeUndefined()
  })

  it('of a model is not kept, and other models are', async () => {
    const tenant = `t${tenants++}`
    const make = async (): Promise<ResponseCache> =>
      redisOf.own(createResponseCache({ redis: await redisOf.connect(), tenant }))
    const [one, two] = [await make(), await make()]
    const releases: (() => void)[] = []
    const provider = fakeProvider(async ({ model }) => {
      await new Promise<void>((resolve) => releases.push(resolve))
      return Response.json(completion('x', model))
    })
    const ask = async (model: string) => {
      const response = await one.fetch({ fetch: provider.fetch })(chatUrl, chatCall('hi', {}, { model }))
      await response.text()
    }
    const both = [ask('gpt-4o'), ask('gpt-4o-mini')]
    await until(() => releases.length === 2, 5_000)
    expect(await two.clear({ model: 'gpt-4o' })).toBe(0)
    for (const release of releases) release()
    await Promise.all(both)
    await until(() => one.stats().stored === 1, 5_000)
    await settled()
    expect(await two.clear({ model: 'gpt-4o' })).toBe(0)
    expect(await two.clear({ model: 'gpt-4o-mini' })).toBe(1)
  })

  it('is not streamed to an instance that asks after everything was cleared', async () => {
    const tenant = `t${tenants++}`
    const make = async (): Promise<ResponseCache> =>
      redisOf.own(createResponseCache({ redis: await redisOf.connect(), tenant }))
    const [one, two] = [await make(), await make()]
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const provider = fakeProvider((_, call) => {
      const events = chatStream(`answer ${call}`).split(/(?<=\n\n)/)
      const body = new ReadableStream<Uint8Array>({
        pull: async (controller) => {
          const next = events.shift()
          if (next === undefined) return controller.close()
          if (events.length === 1 && call === 1) await held
          controller.enqueue(new TextEncoder().encode(next))
        },
      })
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    })
    const ask = (cache: ResponseCache) =>
      cache.fetch({ fetch: provider.fetch })(chatUrl, chatCall('hi', {}, { stream: true }))
    const first = await ask(one)
    await two.clear()
    const later = await ask(two)
    expect(await later.text()).toContain('2')
    release()
    expect(await first.text()).toContain('1')
  })
})

describe('what is deleted while Redis is away', () => {
  async function instance(url: string): Promise<ValueCache<string>> {
    const redis = await redisOf.connect(200, url)
    return redisOf.own(createCache<string>({ kind: `k${tenants}`, redis, l1Ttl: 0 }))
  }

  it.each([
    ['here', false],
    ['by an instance that has Redis', true],
  ])('was called for before it, and is not kept nor handed over (%s)', async (_, elsewhere) => {
    tenants++
    const proxy = redisOf.own(await startProxy(redisOf.server))
    const cutOff = await instance(proxy.url)
    const other = await instance(redisOf.server.url)
    const { load, begun, began } = slowLoads()
    const call = cutOff.getOrSet('k', load)
    await began(1)
    proxy.blackHole()
    await until(async () => {
      await cutOff.get('else')
      return cutOff.state === 'fallback'
    }, 5_000)
    await (elsewhere ? other : cutOff).delete('k')
    begun[0]?.('old')
    expect(await call).toBe('old')
    if (!elsewhere) expect(await cutOff.get('k')).toBeUndefined()
    await cutOff.set('sign', 'of the hand-over')
    await proxy.restore()
    await until(() => cutOff.state === 'primary', 5_000)
    expect(await cutOff.get('k')).toBeUndefined()
    await until(async () => (await other.get('sign')) !== undefined, 5_000)
    expect([await other.get('k'), await cutOff.get('k')]).toEqual([undefined, undefined])
  })

  it('and asked for anew after that is handed over', async () => {
    tenants++
    const proxy = redisOf.own(await startProxy(redisOf.server))
    const cutOff = await instance(proxy.url)
    const other = await instance(redisOf.server.url)
    await other.set('k', 'old')
    await other.set('swept:1', 'old')
    expect(await cutOff.get('k')).toBe('old')
    proxy.blackHole()
    await until(async () => {
      await cutOff.get('else')
      return cutOff.state === 'fallback'
    }, 5_000)
    await cutOff.delete('k')
    await cutOff.clear({ pattern: 'swept:*' })
    await cutOff.set('k', 'new')
    await proxy.restore()
    await until(() => cutOff.state === 'primary', 5_000)
    // Entries that it could not reach in the outage are deleted when Redis is back.
    expect(await other.get('swept:1')).toBeUndefined()
    await until(async () => (await other.get('k')) === 'new', 5_000)
  })
})
