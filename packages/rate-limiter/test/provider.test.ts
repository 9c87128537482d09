import { describe, expect, it } from 'vitest'
import { estimateTokens, slidingWindow, tokenBucket } from '../src/index.js'
import { estimateCall } from '../src/provider/estimate.js'
import { readProviderHeaders } from '../src/provider/headers.js'
import { useRedis } from './support.js'

const redis = useRedis()
const now = Date.parse('2026-01-01T00:00:00Z')

describe('headers of providers', () => {
  it('are read as OpenAI sends them', () => {
    const headers = {
      'x-ratelimit-limit-requests': '60',
      'x-ratelimit-remaining-requests': '59',
      'x-ratelimit-reset-requests': '1s',
      'X-RateLimit-Remaining-Tokens': '149984',
      'X-RateLimit-Reset-Tokens': '6m0s',
    }
    expect(readProviderHeaders(headers, now)).toEqual({
      counts: [
        { unit: 'requests', remaining: 59, resetMs: 1_000 },
        { unit: 'tokens', remaining: 149_984, resetMs: 360_000 },
      ],
      retryAfterMs: 0,
    })
  })

  it('are read as Anthropic sends them', () => {
    const headers = new Headers({
      'anthropic-ratelimit-input-tokens-limit': '50000',
      'anthropic-ratelimit-input-tokens-remaining': '12000',
      'anthropic-ratelimit-input-tokens-reset': '2026-01-01T00:00:30Z',
      'retry-after': '17',
    })
    expect(readProviderHeaders(headers, now)).toEqual({
      counts: [{ unit: 'input-tokens', remaining: 12_000, resetMs: 30_000 }],
      retryAfterMs: 17_000,
    })
  })

  it.each([
    ['120ms', 120],
    ['1m26.4s', 86_400],
    ['1h2m3s', 3_723_000],
    ['1d2h', 93_600_000],
    ['2026-01-01T00:00:30Z', 30_000],
    ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
    ['8.64s', 8_640],
    ['2', 2_000],
    ['.5s', 500],
  ])('read the reset %s', (text, resetMs) => {
    const headers = { 'x-ratelimit-remaining-tokens': '1', 'x-ratelimit-reset-tokens': text }
    expect(readProviderHeaders(headers, now).counts).toEqual([{ unit: 'tokens', remaining: 1, resetMs }])
  })

  it.each([
    [{ 'retry-after': '1.5' }, 1_500],
    [{ 'retry-after-ms': '250', 'retry-after': '9' }, 250],
    [{ 'retry-after': 'Thu, 01 Jan 2026 00:00:05 GMT' }, 5_000],
    [{ 'retry-after': 'Wed, 31 Dec 2025 00:00:05 GMT' }, 0],
    [{ 'retry-after': 'soon' }, 0],
    [{ 'retry-after': '' }, 0],
    [{ 'retry-after': '-3' }, 0],
    [{ 'retry-after': ['2', '3'] }, 2_000],
    [{}, 0],
  ])('say when to come back: %j', (headers, retryAfterMs) => {
    expect(readProviderHeaders(headers, now).retryAfterMs).toBe(retryAfterMs)
  })

  it.each([
    { 'x-ratelimit-remaining-tokens': 'many', 'x-ratelimit-reset-tokens': '1s' },
    { 'x-ratelimit-remaining-tokens': '', 'x-ratelimit-reset-tokens': '1s' },
    { 'x-ratelimit-remaining-tokens': '-1', 'x-ratelimit-reset-tokens': '1s' },
    { 'x-ratelimit-remaining-tokens': '5', 'x-ratelimit-reset-tokens': '-1' },
    { 'x-ratelimit-remaining-tokens': '5', 'x-ratelimit-reset-tokens': '2026-13-01T00:00:00Z' },
    { 'x-ratelimit-remaining-tokens': '5' },
    { 'x-ratelimit-remaining-tokens': '5', 'x-ratelimit-reset-tokens': 'soon' },
    { 'x-ratelimit-remaining-tokens': '5', 'x-ratelimit-reset-tokens': '1s later' },
    { 'x-ratelimit-remaining-tokens': '5', 'x-ratelimit-reset-tokens': '1.2.3s' },
    { 'anthropic-ratelimit-tokens-remaining': '5', 'anthropic-ratelimit-tokens-reset': 'soon' },
  ])('that make no sense are left out: %j', (headers) => {
    expect(readProviderHeaders(headers, now).counts).toEqual([])
  })
})

describe.each(['memory', 'redis'])('what a provider said, in %s', (where) => {
  const make = () =>
    redis.limiter(where, {
      limits: {
        rpm: slidingWindow(60, '1m', { unit: 'requests' }),
        tokens: tokenBucket({ capacity: 90_000, refill: 90_000, every: '1m' }),
      },
      denialMemory: 0,
    })

  it('lowers what is left of the limits of that unit', async () => {
    const limiter = await make()
    await limiter.learn('openai', {
      'x-ratelimit-remaining-requests': '3',
      'x-ratelimit-reset-requests': '20s',
      'x-ratelimit-remaining-tokens': '1000',
      'x-ratelimit-reset-tokens': '40s',
    })
    const { limits } = await limiter.peek('openai', { rpm: 0, tokens: 0 })
    expect(limits.rpm?.remaining).toBe(3)
    expect(limits.tokens?.remaining).toBeGreaterThanOrEqual(1_000)
    expect(limits.tokens?.remaining).toBeLessThan(5_000)
    expect((await limiter.peek('other', { rpm: 0 })).remaining).toBe(60)
  })

  it('blocks the subject for as long as the provider asks to be left alone', async () => {
    const limiter = await make()
    await limiter.learn('openai', { 'retry-after': '20' }, { status: 200 })
    expect((await limiter.check('openai')).allowed).toBe(true)
    await limiter.learn('openai', { 'retry-after': '20' }, { status: 429 })
    const denied = await limiter.check('openai')
    expect(denied).toMatchObject({ allowed: false, blocked: true, limitedBy: undefined })
    expect(denied.retryAfterMs).toBeGreaterThan(19_000)
    await limiter.block('openai', 0)
    expect((await limiter.check('openai')).allowed).toBe(true)
  })

  it('is waited out by those who wait', async () => {
    const limiter = await make()
    // The block in Redis begins at some time after this.
    const startedAt = performance.now()
    await limiter.block('openai', 150)
    await limiter.wait('openai', { rpm: 1 }, { timeout: '5s' })
    expect(performance.now() - startedAt).toBeGreaterThan(145)
  })
})

describe('the estimate of a call', () => {
  const body = (...content: readonly unknown[]) =>
    JSON.stringify({ model: 'm', max_tokens: 10, messages: [{ role: 'user', content }] })
  const megabyte = (beginning: string) => beginning + 'A'.repeat(1_000_000)

  it.each([
    ['OpenAI', { type: 'image_url', image_url: { url: megabyte('data:image/png;base64,iVBORw0KGgo') } }],
    ['OpenAI Responses', { type: 'input_image', image_url: megabyte('data:image/webp;base64,UklGR') }],
    [
      'Anthropic',
      { type: 'image', source: { type: 'base64', media_type: 'image/jpeg', data: megabyte('/9j/') } },
    ],
    ['Ollama', { images: [megabyte('iVBORw0KGgo')] }],
    ['Gemini', { inlineData: { mimeType: 'image/gif', data: megabyte('R0lGOD') } }],
  ])('counts an inline image by what it costs, not by its bytes: %s', (_, image) => {
    const one = estimateCall(body(image), 0)
    expect(one.output).toBe(10)
    expect(one.input).toBeGreaterThan(1_600)
    expect(one.input).toBeLessThan(1_700)
    expect(estimateTokens(JSON.parse(body(image)))).toBe(one.input)
    expect(estimateCall(body(image, image), 0).input).toBeLessThan(3_400)
  })

  it('counts other scripts as providers do, and a document by its length', () => {
    expect(estimateCall(body('漢'.repeat(1_000)), 0).input).toBeGreaterThanOrEqual(1_000)
    const file = {
      type: 'file',
      file: { filename: 'a.pdf', file_data: megabyte('data:application/pdf;base64,') },
    }
    expect(estimateCall(body(file), 0).input).toBeLessThan(11_000)
    expect(estimateCall('no JSON '.repeat(100), 0).input).toBe(200)
  })

  it('counts text as text, also beside an image, and where it only begins like one', () => {
    const text = 'word '.repeat(20_000)
    expect(estimateCall(body(text), 0).input).toBeGreaterThan(25_000)
    const image = { type: 'input_image', image_url: megabyte('data:image/png;base64,iVBORw0KGgo') }
    expect(estimateCall(body(text, image), 0).input).toBeGreaterThan(26_600)
    expect(estimateCall(body('/9j/ is a path'), 0).input).toBeLessThan(40)
  })
})
