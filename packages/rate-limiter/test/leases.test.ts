import { describe, expect, it } from 'vitest'
import { fixedWindow, type Limit, slidingWindow, tokenBucket } from '../src/index.js'
import { useRedis } from './support.js'

const redis = useRedis()

async function calls(): Promise<number> {
  const stats = String(await redis.server.command('INFO', 'commandstats'))
  const of = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
  return of('evalsha') + of('eval')
}

describe('leased quota', () => {
  const kinds: [string, Limit][] = [
    ['sliding window', slidingWindow(1_000, '1s', { lease: true })],
    ['fixed window', fixedWindow(1_000, '1h', { lease: true, align: 'first-use' })],
    ['token bucket', tokenBucket({ capacity: 1_000, refill: 1_000, every: '1s', lease: true })],
  ]

  it.each(kinds)('never exceeds the limit, at several instances: %s', async (_, limit) => {
    const instances = await redis.instances(4, { limits: { r: limit } })
    const startedAt = performance.now()
    let admitted = 0
    const rounds = 80
    for (let round = 0; round < rounds; round++) {
      const decisions = await Promise.all(
        instances.flatMap(({ limiter }) => Array.from({ length: 8 }, () => limiter.check('u'))),
      )
      admitted += decisions.filter(({ allowed }) => allowed).length
      if (performance.now() - startedAt > 900) break
    }
    const elapsedMs = performance.now() - startedAt
    const refilled = limit.kind === 'token-bucket' ? elapsedMs : 0
    expect(admitted).toBeLessThanOrEqual(1_000 + refilled)
    expect(admitted).toBeGreaterThan(500)
  })

  it('takes a fraction of the round trips', async () => {
    const limiter = await redis.limiter('redis', {
      limits: { r: slidingWindow(1_000_000, '1m', { lease: { size: 1_000 } }) },
      stats: false,
    })
    await limiter.check('u')
    const before = await calls()
    for (let count = 0; count < 5_000; count++) {
      const { allowed, source } = await limiter.check('u')
      expect(allowed && source === 'redis').toBe(true)
    }
    expect((await calls()) - before).toBeLessThan(20)
  })

  it('gives back what lies idle, and the rest at close', async () => {
    const [one, two] = await redis.instances(2, {
      limits: { r: slidingWindow(1_000, '1h', { lease: { size: 100, maxIdle: 200 } }) },
    })
    await one?.limiter.check('u')
    await expect.poll(async () => (await two?.limiter.peek('u', { r: 0 }))?.remaining).toBe(999)
    await one?.limiter.check('u')
    await one?.limiter.close()
    expect((await two?.limiter.peek('u', { r: 0 }))?.remaining).toBe(998)
  })

  it('is decided in Redis near the limit, so that denials are exact', async () => {
    const [one, two] = await redis.instances(2, {
      limits: { r: slidingWindow(20, '1h', { lease: true }) },
      denialMemory: 0,
    })
    let admitted = 0
    for (let count = 0; count < 40; count++) {
      const limiter = (count % 2 === 0 ? one : two)?.limiter
      if ((await limiter?.check('u'))?.allowed) admitted++
    }
    expect(admitted).toBeGreaterThanOrEqual(18)
    expect(admitted).toBeLessThanOrEqual(20)
  })

  it.each([
    () => slidingWindow(1, 100, { lease: true }),
    () => slidingWindow(1, '1m', { lease: { size: 0 } }),
    () => slidingWindow(1, '1m', { lease: { maxIdle: '10s' } }),
    () => slidingWindow(1, '1m', { lease: 'yes' as unknown as boolean }),
    () => slidingWindow(1, '1m', { unit: 'A B' }),
    () => fixedWindow(1, '1m', { align: 'moon' as 'clock' }),
  ])('refuses wrong options: %s', (make) => {
    expect(make).toThrow(/expected/)
  })
})
