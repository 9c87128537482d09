import { describe, expect, it } from 'vitest'
import { retryAfterMs } from '../../src/kit/index.js'

const now = Date.parse('2026-03-01T12:00:00Z')
const read = (headers: Record<string, string>) => retryAfterMs(new Headers(headers), now)

describe('Retry-After', () => {
  it.each([
    ['3', 3_000],
    ['0', 0],
    [' 1.5 ', 1_500],
    ['-4', 0],
    ['86400', 86_400_000],
    ['Sun, 01 Mar 2026 12:00:05 GMT', 5_000],
    ['Sun, 01 Mar 2026 11:00:00 GMT', 0],
    // Some providers send a point in time, in seconds or milliseconds since 1970.
    [String(now / 1_000 + 30), 30_000],
    [String(now + 30_000), 30_000],
    [String(now / 1_000 - 30), 0],
  ])("'%s' asks for %d ms", (text, expected) => {
    expect(read({ 'retry-after': text })).toBe(expected)
  })

  it.each(['', '   ', 'soon', 'NaN', 'Infinity', '1s', '2026-03-01', 'March', `1${'0'.repeat(40)}`])(
    "'%s' asks for nothing",
    (text) => {
      expect(read({ 'retry-after': text })).toBeUndefined()
    },
  )

  it('is more exact in milliseconds, where that is given', () => {
    expect(read({ 'retry-after': '3', 'retry-after-ms': '2600' })).toBe(2_600)
    expect(read({ 'retry-after-ms': String(now + 700) })).toBe(700)
    expect(read({ 'retry-after': '3', 'retry-after-ms': 'x' })).toBe(3_000)
    expect(read({})).toBeUndefined()
  })
})
