import { parseList } from 'structured-headers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { appendTo, rateLimitHeaders } from '../../src/adapters/http/headers.js'
import { rateLimit as forWeb } from '../../src/adapters/web.js'
import { concurrency, createRateLimiter, slidingWindow, tokenBucket } from '../../src/index.js'
import { frameworks } from './servers.js'

function members(header: string | null | undefined): Record<string, Record<string, unknown>> {
  const list = parseList(header ?? '').map(([name, parameters]) => [
    String(name),
    Object.fromEntries(parameters as Map<string, unknown>),
  ])
  return Object.fromEntries(list)
}

describe.each(frameworks)('$name, asked wrongly', (framework) => {
  it.each([
    ['a name that is too long', { subject: 'x'.repeat(5_000) }],
    ['no name at all', { subject: '' }],
  ])('answers 400 with a problem to %s', async (_, { subject }) => {
    const limiter = createRateLimiter({ limits: { requests: slidingWindow(5, '1m') } })
    const app = await framework.serve({ limiter, subject: () => subject }, Promise.resolve())
    const response = await fetch(app.url)
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toContain('application/problem+json')
    expect(await response.json()).toMatchObject({ status: 400, title: 'Bad Request' })
    await app.close()
  })

  it.each([Number.NaN, -1, 1.5, 6])('answers 400 to a request that would cost %d of 5', async (cost) => {
    const limiter = createRateLimiter({ limits: { tokens: slidingWindow(5, '1m') } })
    const options = { limiter, costs: () => ({ tokens: cost }) }
    const app = await framework.serve(options, Promise.resolve())
    const response = await fetch(app.url)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ detail: expect.stringContaining('tokens') })
    await app.close()
  })
})

describe('an answer that lies unread for a minute', () => {
  afterEach(() => vi.useRealTimers())
  const endless = () =>
    new Response(
      new ReadableStream({
        pull(controller) {
          controller.enqueue(new TextEncoder().encode('data: {}\n\n'))
        },
      }),
      { headers: { 'content-type': 'text/event-stream' } },
    )
  const limiter = createRateLimiter({ limits: { parallel: concurrency(1, { lease: '10m' }) } })
  const cases: [string, () => Promise<Response>][] = [
    [
      'of a handler from a Request to a Response',
      () => forWeb({ limiter, subject: () => 'u' })(endless)(new Request('http://a.test/')),
    ],
    [
      'of limiter.fetch()',
      () => limiter.fetch({ subject: 'u', fetch: async () => endless() })('http://a.test/'),
    ],
  ]

  it.each(cases)('%s, gives its slot back, and can be read still', async (_, answer) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const response = await answer()
    const reader = response.body?.getReader()
    expect((await reader?.read())?.done).toBe(false)
    await vi.advanceTimersByTimeAsync(59_000)
    expect((await limiter.peek('u')).allowed).toBe(false)
    // Each read begins a new minute.
    expect((await reader?.read())?.done).toBe(false)
    await vi.advanceTimersByTimeAsync(59_000)
    expect((await limiter.peek('u')).allowed).toBe(false)
    await vi.advanceTimersByTimeAsync(1_000)
    expect((await limiter.peek('u')).allowed).toBe(true)
    expect((await reader?.read())?.done).toBe(false)
    await reader?.cancel()
  })
})

describe('headers', () => {
  it('say of a blocked subject that it has nothing left until its block ends', async () => {
    const limiter = createRateLimiter({ limits: { requests: slidingWindow(60, '1m') } })
    await limiter.block('u', '10m')
    const headers = rateLimitHeaders(await limiter.check('u'), limiter.policies, ['draft', 'legacy'])
    expect(members(headers.RateLimit)).toEqual({ requests: { r: 0, t: 600 } })
    expect(headers['Retry-After']).toBe('600')
    expect(headers['X-RateLimit-Remaining']).toBe('0')
  })

  it('promise nothing of a slot that may come free at any time', async () => {
    const limiter = createRateLimiter({ limits: { parallel: concurrency(1, { lease: '1m' }) } })
    await limiter.reserve('u')
    const headers = rateLimitHeaders(await limiter.check('u'), limiter.policies, ['draft'])
    expect(members(headers.RateLimit)).toEqual({ parallel: { r: 0 } })
    expect(headers['Retry-After']).toBe('1')
  })

  it('stay within the integers of a structured field', async () => {
    const limits = { huge: slidingWindow(Number.MAX_SAFE_INTEGER, '1m') }
    const limiter = createRateLimiter({ limits })
    const headers = rateLimitHeaders(await limiter.check('u'), limiter.policies, ['draft'])
    expect(members(headers['RateLimit-Policy']).huge?.q).toBe(999_999_999_999_999)
    expect(members(headers.RateLimit).huge?.r).toBe(999_999_999_999_999)
  })

  it('tell times by the clock of this process, whatever the one that decided says', async () => {
    // The limiter's clock is 90 seconds ahead of the one by which the headers are written.
    const clock = { now: () => Date.now() + 90_000, monotonic: () => performance.now() }
    const limiter = createRateLimiter({ limits: { requests: slidingWindow(1, '1m') }, clock })
    await limiter.check('u')
    const headers = rateLimitHeaders(await limiter.check('u'), limiter.policies, ['draft', 'openai'])
    const { t } = members(headers.RateLimit).requests ?? {}
    expect(Number(t)).toBeGreaterThan(55)
    expect(Number(t)).toBeLessThanOrEqual(60)
    expect(headers['x-ratelimit-reset-requests']).toMatch(/^(1m0s|5\d(\.\d+)?s)$/)
  })

  it('of a second limiter on the same answer stand beside those of the first', async () => {
    const one = createRateLimiter({ limits: { requests: slidingWindow(5, '1m') } })
    const two = createRateLimiter({
      limits: {
        requests: slidingWindow(100, '1h'),
        tokens: tokenBucket({ capacity: 9, refill: 9, every: '1m' }),
      },
    })
    const first = rateLimitHeaders(await one.check('u'), one.policies, ['draft', 'legacy'])
    const second = rateLimitHeaders(await two.check('u'), two.policies, ['draft', 'legacy'])
    const lower = Object.fromEntries(
      Object.entries(first).map(([name, value]) => [name.toLowerCase(), value]),
    )
    const both = appendTo((name) => lower[name.toLowerCase()], second)
    expect(members(both['RateLimit-Policy'])).toEqual({
      requests: { q: 5, w: 60 },
      'requests-2': { q: 100, w: 3_600 },
      tokens: { q: 9, w: 60, qu: 'tokens' },
    })
    expect(Object.keys(members(both.RateLimit))).toEqual(['requests', 'requests-2', 'tokens'])
    // The legacy headers are those of the limiter that has fewer units left.
    expect(both['X-RateLimit-Remaining'] ?? first['X-RateLimit-Remaining']).toBe('4')
  })
})
