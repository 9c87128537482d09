import { type Connection, connect } from '@evenkeel/core'
import { createRateLimiter, slidingWindow, tokenBucket } from '@evenkeel/rate-limiter'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { exitCodes } from '../src/index.js'
import { runCommand } from './support.js'

let server: RedisServer
let redis: Connection
const open: { close(): Promise<void> }[] = []
beforeAll(async () => {
  server = await startRedis()
  redis = await connect({ url: server.url })
})
afterAll(async () => {
  await redis.close()
  await server.close()
})
beforeEach(() => server.command('FLUSHALL'))
afterEach(async () => {
  for (const limiter of open.splice(0)) await limiter.close()
})

const run = (...args: readonly string[]) => runCommand(['limits', ...args, '--url', server.url])

/** A service that has used its limiter up, and has reported that to Redis. */
async function service(name: string) {
  const limiter = createRateLimiter({
    redis,
    name,
    limits: {
      requests: slidingWindow(3, '1m'),
      tokens: tokenBucket({ capacity: 1_000, refill: 10, every: '1s' }),
    },
    denialMemory: 0,
  })
  open.push(limiter)
  for (let call = 0; call < 5; call++) await limiter.check('user:42', { requests: 1, tokens: 10 })
  await expect
    .poll(() => redis.command(['EXISTS', `evenkeel:rate-limiter:${name}:{instances}:epoch`]))
    .toBe(1)
  return limiter
}

interface Shown {
  readonly limiters: readonly {
    readonly name: string
    readonly allowed: number
    readonly denied: number
    readonly instances: number
    readonly top: readonly { readonly subject: string }[]
  }[]
}

describe('evenkeel limits', () => {
  it('lists limiters with their limits and who calls most', async () => {
    await service('chat')
    const shown = async () => ((await run('show', '--json')).json() as Shown).limiters[0]
    await expect.poll(async () => (await shown())?.denied).toBe(2)
    expect(await shown()).toMatchObject({
      name: 'chat',
      allowed: 3,
      instances: 1,
      limits: { requests: { kind: 'sliding-window', limit: 3, windowMs: 60_000 } },
      top: [{ subject: 'user:42', allowed: 3, denied: 2 }],
    })
    const { out } = await run('show')
    expect(out).toContain('requests  3 in any 1 min')
    expect(out).toContain('bursts of 1000, then 10 every 1 s')
    expect(out).toMatch(/user:42 +3 +2 +/)
  })

  it('shows what a subject has used, and charges nothing for it', async () => {
    await service('chat')
    for (let look = 0; look < 2; look++) {
      expect((await run('show', 'user:42', '--json')).json()).toMatchObject({
        limiter: 'chat',
        subject: 'user:42',
        blocked: false,
        limits: { requests: { used: 3, limit: 3, remaining: 0 } },
      })
    }
    expect((await run('show', 'user:42')).out).toMatch(/requests +3 of 3 +0 +/)
  })

  it('gives a subject its limits back, when it is told to', async () => {
    const limiter = await service('chat')
    await limiter.block('user:42', '10m')
    expect((await limiter.check('user:42')).allowed).toBe(false)
    expect(await run('reset', 'user:42')).toMatchObject({
      code: exitCodes.usage,
      err: expect.stringContaining('--yes'),
    })
    expect((await limiter.check('user:42')).allowed).toBe(false)
    expect((await run('reset', 'user:42', '--yes', '--json')).json()).toEqual({
      limiter: 'chat',
      subject: 'user:42',
      reset: true,
    })
    await expect.poll(async () => (await limiter.check('user:42')).allowed).toBe(true)
  })

  it('wants to know which limiter is meant where there are several', async () => {
    await service('chat')
    await service('images')
    const { code, err } = await run('show', 'user:42')
    expect([code, err]).toEqual([exitCodes.usage, expect.stringContaining('chat, images')])
    const asked = await runCommand(['limits', 'show', 'user:42', '--json', '--url', server.url], {
      ask: async () => 'images',
    })
    expect(asked.json()).toMatchObject({ limiter: 'images' })
    expect((await run('show', 'user:42', '--name', 'nobody')).err).toContain("no limiter 'nobody'")
  })

  it('says when there is none', async () => {
    expect((await run('show')).out).toContain('no limiter')
    expect((await run('reset', 'user:42', '--yes')).code).toBe(exitCodes.usage)
  })
})
