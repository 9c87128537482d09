import { type FaultProxy, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Connection, connect, createKeyValueStore, lock } from '../src/index.js'

let server: RedisServer
let proxy: FaultProxy
let redis: Connection

beforeEach(async () => {
  server = await startRedis()
  proxy = await startProxy({ host: server.host, port: server.port })
  redis = await connect({ url: proxy.url, commandTimeout: '5s' })
})
afterEach(async () => {
  vi.restoreAllMocks()
  await redis.close()
  await proxy.close()
  await server.close()
})

async function cutOff(): Promise<void> {
  await proxy.refuse()
  await until(() => redis.state === 'down', 10_000)
}

async function back(): Promise<void> {
  await proxy.restore()
  await until(() => redis.state === 'up', 10_000)
}

const isHeld = { code: 'LOCK_TIMEOUT' }

describe('a lock of Redis and one of this process alone', () => {
  it('exclude each other when Redis goes', async () => {
    const held = await lock(redis, 'r', { ttl: '10m' })
    await cutOff()
    await expect(lock(redis, 'r', { onOutage: 'local' })).rejects.toMatchObject(isHeld)
    await using _other = await lock(redis, 'other', { onOutage: 'local' })
    // Redis can't be reached now and keeps the lock for its ttl; this process has released it.
    expect(await held.release()).toBe(false)
    await using local = await lock(redis, 'r', { onOutage: 'local' })
    expect(local.source).toBe('memory')
  })

  it('exclude each other when Redis comes back', async () => {
    await cutOff()
    const local = await lock(redis, 'r', { onOutage: 'local' })
    await back()
    await expect(lock(redis, 'r')).rejects.toMatchObject(isHeld)
    expect(await server.command('KEYS', '*')).toEqual([])
    const waiting = lock(redis, 'r', { wait: '10s' })
    expect(await local.release()).toBe(true)
    expect((await waiting).source).toBe('redis')
  })

  it('exclude each other in all copies of the package that a process has', async () => {
    vi.resetModules()
    const copy = await import('../src/index.js')
    expect(copy.lock).not.toBe(lock)
    await using local = await lock(undefined, 'r', { onOutage: 'local' })
    await expect(copy.lock(undefined, 'r', { onOutage: 'local' })).rejects.toMatchObject(isHeld)
    await local.release()
    await using next = await copy.lock(undefined, 'r', { onOutage: 'local' })
    expect(next.fence).toBeGreaterThan(local.fence)
  })

  it('know the namespace: tenants do not keep each other out', async () => {
    const [a, b] = await Promise.all(
      ['a:', 'b:'].map((namespace) => connect({ url: proxy.url, namespace, commandTimeout: '5s' })),
    )
    await proxy.refuse()
    await until(() => a?.state === 'down' && b?.state === 'down', 10_000)
    await using _ofA = await lock(a, 'r', { onOutage: 'local' })
    await using _ofB = await lock(b, 'r', { onOutage: 'local' })
    await expect(lock(b, 'r', { onOutage: 'local' })).rejects.toMatchObject(isHeld)
    await a?.close()
    await b?.close()
  })

  it('are free again once their holder was told of the loss', async () => {
    const held = await lock(redis, 'r', { ttl: 300 })
    await cutOff()
    await until(() => held.signal.aborted, 10_000)
    await using local = await lock(redis, 'r', { onOutage: 'local' })
    expect(local.source).toBe('memory')
  })
})

describe('promise 5: a lock', () => {
  it('leaves no key without an end', async () => {
    await (await lock(redis, 'released')).release()
    await lock(redis, 'held', { ttl: '1h' })
    const keys = (await server.command('KEYS', '*')) as string[]
    expect(keys.map(String).sort()).toEqual([
      'evenkeel:lock:{held}',
      'evenkeel:lock:{held}:fence',
      'evenkeel:lock:{released}:fence',
    ])
    for (const key of keys) expect(await server.command('PTTL', key)).toBeGreaterThan(0)
  })
})

describe('a lock of a long time', () => {
  it('is renewed no sooner than a third of it, beyond what one timer holds too', async () => {
    const warn = vi.spyOn(process, 'emitWarning')
    const made = vi.spyOn(globalThis, 'setTimeout')
    await using held = await lock(redis, 'r', { ttl: '90d', wait: '60d' })
    await held.extend('120d')
    expect(await server.command('PTTL', 'evenkeel:lock:{r}')).toBeGreaterThan(119 * 86_400_000)
    const longest = Math.max(...made.mock.calls.map(([, delayMs]) => delayMs ?? 0))
    expect(longest).toBe(2 ** 31 - 1)
    expect(warn).not.toHaveBeenCalled()
  })

  it('goes on with the ttl that it was extended to', async () => {
    await using held = await lock(redis, 'r', { ttl: '1s' })
    await held.extend('1h')
    // Several renewals of the old ttl would have come by now.
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect(await server.command('PTTL', 'evenkeel:lock:{r}')).toBeGreaterThan(3_000_000)
    await expect(held.extend(1)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})

describe('waiting for a lock', () => {
  it("ends with the signal's own reason, before it begins and in the middle", async () => {
    await using _held = await lock(redis, 'r')
    const reason = new DOMException('took too long', 'TimeoutError')
    await expect(lock(redis, 'r', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const waiting = lock(redis, 'r', { wait: '10m', signal: controller.signal })
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })

  it('ends at once while Redis is asked, and gives back what comes after', async () => {
    proxy.delay(200)
    const controller = new AbortController()
    const waiting = lock(redis, 'r', { ttl: '10m', signal: controller.signal })
    await until(() => redis.inFlight > 0)
    controller.abort('left')
    await expect(waiting).rejects.toBe('left')
    await until(async () => (await server.command('EXISTS', 'evenkeel:lock:{r}:fence')) === 1)
    await until(async () => (await server.command('EXISTS', 'evenkeel:lock:{r}')) === 0)
  })

  it('keeps the process alive, and holding one does not', async () => {
    const held = await lock(undefined, 'r', { onOutage: 'local' })
    const made = vi.spyOn(globalThis, 'setTimeout')
    const waiting = lock(undefined, 'r', { onOutage: 'local', wait: '1h' })
    await until(() => made.mock.results.some(({ value }) => value.hasRef()))
    made.mockClear()
    await held.release()
    const next = await waiting
    expect(made.mock.results.at(-1)?.value.hasRef()).toBe(false)
    await next.release()
  })

  it('tells a limit of our own to its caller, and takes nothing locally for it', async () => {
    await using narrow = await connect({ url: server.url, maxInFlight: 1, commandTimeout: '5s' })
    server.freeze()
    const other = narrow.command(['PING'])
    await expect(lock(narrow, 'r', { onOutage: 'local' })).rejects.toMatchObject({ code: 'OVERLOADED' })
    server.resume()
    await other
    await narrow.close()
    await expect(lock(narrow, 'r', { onOutage: 'local' })).rejects.toMatchObject({
      code: 'CONNECTION_CLOSED',
    })
  })
})

describe('a lock among what others made', () => {
  it('writes over what is no lock', async () => {
    await server.command('RPUSH', 'evenkeel:lock:{r}', 'garbage')
    await server.command('RPUSH', 'evenkeel:lock:{r}:fence', 'garbage')
    await using held = await lock(redis, 'r')
    await held.extend()
    await server.command('DEL', 'evenkeel:lock:{r}')
    await server.command('RPUSH', 'evenkeel:lock:{r}', 'garbage')
    expect(await held.release()).toBe(false)
    await server.command('SET', 'evenkeel:lock:{text}', 'garbage')
    await using _text = await lock(redis, 'text')
  })

  it('and the key-value store read numbers that a client gives as text', async () => {
    const client = new Redis(server.url, { stringNumbers: true })
    await until(() => client.status === 'ready')
    await using borrowed = await connect({ client })
    const held = await lock(borrowed, 'r', { ttl: '1h' })
    await held.extend()
    expect(held.signal.aborted).toBe(false)
    expect(await held.release()).toBe(true)
    await using store = createKeyValueStore<number>({ redis: borrowed, prefix: 'text' })
    expect(await store.set('k', 1, { nx: true })).toBe(true)
    expect(await store.set('k', 1, { nx: true })).toBe(false)
    expect(await store.touch('k', '1m')).toBe(true)
    expect(await store.increment('k', 2)).toBe(3)
    expect(await store.delete('k')).toBe(true)
    await store.set('k', 1)
    expect(await store.clear()).toBe(1)
    client.disconnect()
  })

  it('promise 10: repeats no name in its errors', async () => {
    const name = 'c4nary\n\u001b[31m'
    await using _held = await lock(redis, name)
    await expect(lock(redis, name)).rejects.toThrow(/^The lock was not free within 0 ms$/)
  })
})

it.each([
  [{ ttl: 1 }, /^ttl: expected a duration from 100/],
  [{ ttl: 'x' }, /^ttl: expected/],
  [{ wait: -1 }, /^wait: expected/],
  [{ onOutage: 'shrug' }, /^onOutage: expected one of 'throw', 'local'/],
  [{ timeout: '1s' }, /^timeout: expected no member of this name/],
])('a lock refuses %j', async (options, message) => {
  await expect(lock(redis, 'r', options as object)).rejects.toThrow(message)
})
