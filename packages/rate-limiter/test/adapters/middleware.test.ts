import { connect } from '@evenkeel/core'
import { startRedis } from '@evenkeel/test-servers'
import { parseList } from 'structured-headers'
import { afterEach, describe, expect, it } from 'vitest'
import { rateLimit as forExpress } from '../../src/adapters/express.js'
import { concurrency, createRateLimiter, slidingWindow, tokenBucket } from '../../src/index.js'
import { type CommonOptions, frameworks, hangUp, type TestApp } from './servers.js'

/** The members of a structured list, by name. */
function members(header: string | null): Record<string, Record<string, unknown>> {
  return Object.fromEntries(
    parseList(header ?? '').map(([name, parameters]) => [
      String(name),
      Object.fromEntries(parameters as Map<string, unknown>),
    ]),
  )
}

describe.each(frameworks)('middleware for $name', (framework) => {
  const apps: TestApp[] = []
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close()
  })
  async function serve(options: CommonOptions, release = Promise.resolve()): Promise<string> {
    const app = await framework.serve(options, release)
    apps.push(app)
    return app.url
  }

  it('says what is left, in the headers of the draft', async () => {
    const limiter = createRateLimiter({
      limits: {
        requests: slidingWindow(2, '1m'),
        tokens: tokenBucket({ capacity: 900, refill: 900, every: '1m' }),
      },
    })
    const url = await serve({ limiter })
    const response = await fetch(url)
    expect(await response.text()).toBe('hello')
    expect(members(response.headers.get('ratelimit-policy'))).toEqual({
      requests: { q: 2, w: 60 },
      tokens: { q: 900, w: 60, qu: 'tokens' },
    })
    expect(members(response.headers.get('ratelimit'))).toEqual({
      requests: { r: 1, t: 60 },
      tokens: { r: 899, t: 1 },
    })
    expect(response.headers.get('retry-after')).toBe(null)
  })

  it('refuses with 429, a problem, and when to come back', async () => {
    const refusals: unknown[] = []
    const limiter = createRateLimiter({ limits: { requests: slidingWindow(1, '1m') } })
    const url = await serve({ limiter, onLimited: (_, decision) => refusals.push(decision.limitedBy) })
    expect((await fetch(url)).status).toBe(200)
    const refused = await fetch(url)
    expect(refused.status).toBe(429)
    expect(refused.headers.get('content-type')).toContain('application/problem+json')
    const retryAfter = Number(refused.headers.get('retry-after'))
    expect(retryAfter).toBeGreaterThanOrEqual(59)
    expect(retryAfter).toBeLessThanOrEqual(60)
    const { t } = members(refused.headers.get('ratelimit')).requests ?? {}
    expect(retryAfter).toBeGreaterThanOrEqual(Number(t))
    expect(await refused.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      status: 429,
      'violated-policies': ['requests'],
    })
    expect(refusals).toEqual(['requests'])
  })

  it('limits each client on its own, and refuses those without a name', async () => {
    const limiter = createRateLimiter({ limits: { requests: slidingWindow(1, '1m') } })
    const url = await serve({ limiter, subject: (view) => view.header('x-user') })
    const status = async (user?: string) =>
      (await fetch(url, user === undefined ? {} : { headers: { 'X-User': user } })).status
    expect(await status('a')).toBe(200)
    expect(await status('a')).toBe(429)
    expect(await status('b')).toBe(200)
    expect(await status()).toBe(403)
  })

  it('speaks the headers of others when it is told to', async () => {
    const limiter = createRateLimiter({ limits: { requests: slidingWindow(5, '1m') } })
    const url = await serve({ limiter, headers: ['legacy', 'openai', 'anthropic'] })
    const { headers } = await fetch(url)
    expect(headers.get('ratelimit')).toBe(null)
    expect(headers.get('x-ratelimit-limit')).toBe('5')
    expect(headers.get('x-ratelimit-remaining')).toBe('4')
    expect(Math.abs(Number(headers.get('x-ratelimit-reset')) - Date.now() / 1_000 - 60)).toBeLessThan(3)
    expect(headers.get('x-ratelimit-remaining-requests')).toBe('4')
    expect(headers.get('x-ratelimit-reset-requests')).toMatch(/^(1m0s|5\d(\.\d+)?s)$/)
    expect(headers.get('anthropic-ratelimit-requests-remaining')).toBe('4')
    expect(Date.parse(headers.get('anthropic-ratelimit-requests-reset') ?? '')).toBeGreaterThan(Date.now())
  })

  it('holds a slot until the answer is out, or the client has gone', async () => {
    const limiter = createRateLimiter({ limits: { parallel: concurrency(1) } })
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const url = await serve({ limiter }, released)
    await hangUp(`${url}/slow`)
    await expect.poll(async () => (await fetch(url)).status).toBe(200)
    const slow = fetch(`${url}/slow`)
    await expect.poll(async () => (await fetch(url)).status).toBe(429)
    release()
    expect(await (await slow).text()).toBe('first last')
    await expect.poll(async () => (await fetch(url)).status).toBe(200)
    // The slot is also released if the handler throws.
    expect((await fetch(`${url}/broken`)).status).toBe(500)
    await expect.poll(async () => (await fetch(url)).status).toBe(200)
  })

  it('settles what a request cost when it has ended', async () => {
    const limiter = createRateLimiter({ limits: { tokens: slidingWindow(100, '1m') } })
    const url = await serve({ limiter, subject: () => 'u', settle: () => ({ tokens: 40 }) })
    await (await fetch(url)).text()
    await expect.poll(async () => (await limiter.peek('u', { tokens: 0 })).remaining).toBe(60)
  })

  it('answers 503 where nobody can count and the host wants nobody through', async () => {
    const gone = await startRedis()
    await gone.close()
    await using redis = await connect({ url: gone.url })
    const limiter = createRateLimiter({
      redis,
      limits: { requests: slidingWindow(1, '1m') },
      onOutage: 'throw',
    })
    const refused = await fetch(await serve({ limiter }))
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
    })
  })
})

describe('options of middleware', () => {
  const limiter = createRateLimiter({ limits: { requests: slidingWindow(1, '1m') } })
  it.each([{}, { limiter: {} }, { limiter, headers: ['ietf'] }])(
    'that are wrong are refused: %#',
    (options) => {
      expect(() => forExpress(options as unknown as Parameters<typeof forExpress>[0])).toThrow(/expected/)
    },
  )
})

describe('Fastify', () => {
  it('lets a route go unlimited', async () => {
    const fastify = frameworks.find(({ name }) => name === 'Fastify')
    const limiter = createRateLimiter({ limits: { requests: slidingWindow(1, '1m') } })
    const app = await fastify?.serve({ limiter }, Promise.resolve())
    for (let count = 0; count < 3; count++) expect((await fetch(`${app?.url}/free`)).status).toBe(200)
    await app?.close()
  })
})
