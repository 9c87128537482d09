import { type FaultProxy, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Connection, connect, lock } from '../src/index.js'

describe('a lock', () => {
  let server: RedisServer
  let proxy: FaultProxy
  let redis: Connection

  beforeEach(async () => {
    server = await startRedis()
    proxy = await startProxy({ host: server.host, port: server.port })
    redis = await connect({ url: proxy.url, commandTimeout: 150 })
  })
  afterEach(async () => {
    await redis.close()
    await proxy.close()
    await server.close()
  })

  it('has one holder at a time, and fences that only grow', async () => {
    await using second = await connect({ url: server.url })
    const first = await lock(redis, 'r')
    await expect(lock(second, 'r')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' })
    const waiting = lock(second, 'r', { wait: '2s' })
    expect(await first.release()).toBe(true)
    expect(await first.release()).toBe(true)
    const next = await waiting
    expect(next.fence).toBeGreaterThan(first.fence)
    await next.release()
    await server.command('FLUSHALL')
    expect((await lock(redis, 'r')).fence).toBeGreaterThan(next.fence)
  })

  it('excludes, among many that race for it', async () => {
    let inside = 0
    let most = 0
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        await using _held = await lock(redis, 'race', { wait: '10s' })
        most = Math.max(most, ++inside)
        await new Promise((resolve) => setTimeout(resolve, 5))
        inside--
      }),
    )
    expect(most).toBe(1)
  })

  it('is renewed by itself while it is held', async () => {
    const held = await lock(redis, 'r', { ttl: '1s' })
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(held.signal.aborted).toBe(false)
    await expect(lock(redis, 'r')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' })
    await held.release()
  })

  it('tells its holder of the loss before the server lets another have it', async () => {
    const held = await lock(redis, 'r', { ttl: 600 })
    const lostAt = new Promise<number>((resolve) =>
      held.signal.addEventListener('abort', () => resolve(performance.now())),
    )
    proxy.blackHole()
    const other = await connect({ url: server.url })
    const taken = await lock(other, 'r', { wait: '3s' })
    expect(await lostAt).toBeLessThan(performance.now())
    expect(held.signal.reason).toMatchObject({ code: 'LOCK_LOST' })
    await proxy.restore()
    // Late calls never affect the lock of the next holder.
    await until(() => redis.state === 'up', 3_000)
    await expect(held.extend()).rejects.toMatchObject({ code: 'LOCK_LOST' })
    expect(await held.release()).toBe(false)
    await taken.extend()
    await taken.release()
    await other.close()
  })

  it('does not block itself when the answer to its taking was lost', async () => {
    const dropped = proxy.dropReplies(1, ([name]) => name?.startsWith('EVAL') === true)
    await expect(lock(redis, 'r', { ttl: 5_000 })).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
    await dropped.done
    await until(() => redis.state === 'up', 2_000)
    // If the lost lock could not be given back, a new call, which has another token, waits for its ttl at most.
    const again = await lock(redis, 'r', { ttl: 5_000, wait: 6_000 })
    await again.release()
  })

  it('is refused within a millisecond while Redis is away, and never silently local', async () => {
    await server.kill()
    await until(() => redis.state === 'down', 1_000)
    const took = []
    for (let call = 0; call < 50; call++) {
      const startedAt = performance.now()
      await expect(lock(redis, 'r')).rejects.toMatchObject({ code: 'LOCK_UNAVAILABLE' })
      took.push(performance.now() - startedAt)
    }
    // The quickest of many: other processes can delay some calls, but not all of them.
    expect(Math.min(...took)).toBeLessThan(1)
    const local = await lock(redis, 'r', { onOutage: 'local' })
    expect(local.source).toBe('memory')
    await expect(lock(redis, 'r', { onOutage: 'local' })).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' })
    await local.release()
  })

  it('lets a waiter give up', async () => {
    await using _held = await lock(redis, 'r')
    const abort = new AbortController()
    const waiting = lock(redis, 'r', { wait: '10s', signal: abort.signal })
    abort.abort(new Error('gave up'))
    await expect(waiting).rejects.toThrow()
  })

  it.each([{ ttl: 1 }, { ttl: 'x' as '1s' }, { wait: -1 }, { onOutage: 'shrug' as 'throw' }])(
    'refuses %j',
    async (options) => {
      await expect(lock(redis, 'r', options)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    },
  )
})
