/** Beyond this a number of seconds is taken for a point in time, as some providers send it: ten years. */
const longestDelaySeconds = 10 * 365 * 86_400

/**
 * Milliseconds that a `Retry-After` or `retry-after-ms` header asks to wait, from 0; `undefined` where there is
 * none or it can't be read. Understands seconds, HTTP dates, and seconds since 1970 (RFC 9110, 10.2.3, and what
 * providers send besides).
 */
export function retryAfterMs(
  headers: { get(name: string): string | null },
  nowMs: number,
): number | undefined {
  const ms = numberIn(headers.get('retry-after-ms'))
  if (ms !== undefined) return Math.max(0, ms)
  const text = headers.get('retry-after')
  const seconds = numberIn(text)
  if (seconds !== undefined) {
    const isTime = seconds > longestDelaySeconds
    return Math.max(0, isTime ? seconds * 1_000 - nowMs : seconds * 1_000)
  }
  // Date.parse takes bare numbers and short texts for years; an HTTP date begins with the name of a day.
  const at = text !== null && /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}

function numberIn(text: string | null): number | undefined {
  const trimmed = text?.trim()
  if (trimmed === undefined || trimmed === '' || trimmed.length > 32) return undefined
  const value = Number(trimmed)
  return Number.isFinite(value) ? value : undefined
}
