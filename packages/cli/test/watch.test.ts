import { type Connection, connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exitCodes, main } from '../src/index.js'
import { fakeIo, runCommand } from './support.js'

let server: RedisServer
let redis: Connection
beforeAll(async () => {
  server = await startRedis({ args: { maxmemory: '64mb' } })
  redis = await connect({ url: server.url })
})
afterAll(async () => {
  await redis.close()
  await server.close()
})

interface Look {
  readonly health: { readonly status: string; readonly reasons: readonly string[] }
  readonly cache?: { readonly hits: number }
  readonly limiters: readonly { readonly name: string; readonly denied: number }[]
  readonly pools: readonly { readonly name: string; readonly nodes: Record<string, number> }[]
  readonly rates: { readonly commandsPerSecond: number | null }
}

describe('evenkeel watch', () => {
  it('shows health, cache, limiters and pools of services, as of now', async () => {
    const limiter = createRateLimiter({ redis, name: 'chat', limits: { r: slidingWindow(2, '1m') } })
    for (let call = 0; call < 5; call++) await limiter.check('user:42')
    const cache = createResponseCache({ redis })
    const ask = cache.wrap(async (question: string) => question, { name: 'ask' })
    for (let call = 0; call < 4; call++) await ask('q')
    // Counts reach Redis every few seconds, and when the cache or limiter is closed.
    await cache.close()
    await limiter.close()
    const pool = await createDecoderPool({ redis, name: 'odd {name} 7%', probe: false })
    await pool.register({ id: 'gpu-1', endpoint: 'http://127.0.0.1:1', capacity: 4 })

    const { out, code } = await runCommand([
      'watch',
      '--json',
      '--interval',
      '1',
      '--count',
      '2',
      '--url',
      server.url,
    ])
    expect(code).toBe(exitCodes.done)
    const looks = out.split('\n').map((line) => JSON.parse(line) as Look)
    expect(looks).toHaveLength(2)
    expect(looks[0]?.rates.commandsPerSecond).toBeNull()
    expect(looks[1]).toMatchObject({
      health: { status: 'healthy' },
      cache: { hits: 3, misses: 1 },
      limiters: [{ name: 'chat', allowed: 2, denied: 3, busiest: 'user:42' }],
      pools: [{ name: 'odd {name} 7%', nodes: { serving: 1 }, capacity: 4 }],
    })
    expect(looks[1]?.rates.commandsPerSecond).toBeGreaterThan(0)

    const shown = (await runCommand(['watch', '--count', '1', '--url', server.url])).out
    for (const words of ['healthy', 'of 64 MiB', '75 % in 30 days', 'chat', 'odd {name} 7%'])
      expect(shown).toContain(words)
    await pool.close()
  })

  it('warns of a Redis that is used, and nearly full or may evict what must stay', async () => {
    const look = async () =>
      (await runCommand(['watch', '--json', '--count', '1', '--url', server.url])).json() as {
        readonly warnings: readonly string[]
      }
    const limiter = createRateLimiter({ redis, name: 'chat', limits: { r: slidingWindow(2, '1m') } })
    await limiter.check('user:42')
    await limiter.close()
    expect((await look()).warnings).toEqual([])
    const used = Number(/used_memory:(\d+)/.exec(String(await server.command('INFO', 'memory')))?.[1])
    await server.command('CONFIG', 'SET', 'maxmemory', String(Math.ceil(used * 1.1)))
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    expect((await look()).warnings).toEqual([
      expect.stringMatching(/^\d+ % of the memory limit is used$/),
      'allkeys-lru may evict limits and registered nodes',
    ])
    const shown = (await runCommand(['watch', '--count', '1', '--url', server.url])).out
    expect(shown).toContain('! allkeys-lru may evict limits')
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    await server.command('CONFIG', 'SET', 'maxmemory', '64mb')
  })

  it('goes on while Redis is away, says so, and ends when it is told to', async () => {
    const sick = await startRedis()
    let stop = () => {}
    const { io, out } = fakeIo({
      stopped: () =>
        new Promise((resolve) => {
          stop = resolve
        }),
    })
    const watching = main(['watch', '--json', '--interval', '1', '--url', sick.url], io)
    const statuses = () => out.map((line) => (JSON.parse(line) as Look).health.status)
    await expect.poll(() => statuses().at(-1)).toBe('healthy')
    sick.freeze()
    await expect.poll(() => statuses().at(-1)).toBe('unhealthy')
    sick.resume()
    await expect.poll(() => statuses().at(-1)).toBe('healthy')
    stop()
    expect(await watching).toBe(exitCodes.done)
    await sick.close()
  })

  it('waits for a Redis that is not there yet', async () => {
    const { code, json } = await runCommand([
      'watch',
      '--json',
      '--count',
      '1',
      '--url',
      'redis://127.0.0.1:1',
    ])
    expect([code, json()]).toEqual([
      exitCodes.done,
      expect.objectContaining({ health: expect.objectContaining({ status: 'unhealthy' }), limiters: [] }),
    ])
  })
})
