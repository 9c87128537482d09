const tenYearsMs = 10 * 365 * 86_400_000

/**
 * Milliseconds that a `retry-after-ms` or `Retry-After` header asks to wait, at least 0; `undefined` if there is
 * none or it can't be parsed. Understands milliseconds or seconds, HTTP dates (RFC 9110, 10.2.3), and what some
 * providers send instead: a number beyond ten years is a point in time, in seconds or milliseconds since 1970.
 */
export function retryAfterMs(
  headers: { get(name: string): string | null },
  nowMs: number,
): number | undefined {
  const ms = numberIn(headers.get('retry-after-ms'))
  if (ms !== undefined) return untilDue(ms, nowMs)
  const text = headers.get('retry-after')
  const seconds = numberIn(text)
  if (seconds !== undefined) {
    // As seconds, a time in milliseconds would be tens of thousands of years away.
    return untilDue(seconds > tenYearsMs ? seconds : seconds * 1_000, nowMs)
  }
  // Date.parse takes bare numbers and short texts for years; an HTTP date begins with the name of a day.
  const at = text !== null && /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}

function untilDue(ms: number, nowMs: number): number {
  return Math.max(0, ms > tenYearsMs ? ms - nowMs : ms)
}

function numberIn(text: string | null): number | undefined {
  const trimmed = text?.trim()
  if (trimmed === undefined || trimmed === '' || trimmed.length > 32) return undefined
  const value = Number(trimmed)
  return Number.isFinite(value) ? value : undefined
}
