import { retryAfterMs } from '@evenkeel/core/kit'

/** What a provider reports about one of its own limits. */
export interface ProviderCount {
  /** `'requests'`, `'tokens'`, `'input-tokens'`, … */
  readonly unit: string
  readonly remaining: number
  /** Milliseconds until the count is full again. */
  readonly resetMs: number
}

export interface ProviderLimits {
  readonly counts: readonly ProviderCount[]
  /** Milliseconds that the provider asks callers to wait; 0 if it does not. */
  readonly retryAfterMs: number
}

export type ProviderHeaders =
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string | readonly string[] | undefined>>

/** Many services send this header without a unit; it then counts requests. */
const openAi = /^x-ratelimit-remaining(?:-(.+))?$/
const anthropic = /^anthropic-ratelimit-(.+)-remaining$/

/**
 * Reads `retry-after`, `retry-after-ms`, `x-ratelimit-*` as OpenAI and compatible providers send them, and
 * `anthropic-ratelimit-*`. Resets may be durations such as `6m0s`, times, or numbers of seconds. Values that can't be
 * read are left out.
 */
export function readProviderHeaders(headers: ProviderHeaders, nowMs: number): ProviderLimits {
  const known = lowerCased(headers)
  const counts: ProviderCount[] = []
  for (const [name, value] of known) {
    const found = resetOf(name, known, nowMs)
    const remaining = Number(value)
    if (found === undefined || value === '' || !Number.isFinite(remaining) || remaining < 0) continue
    counts.push({ ...found, remaining: Math.floor(remaining) })
  }
  const get = (name: string) => known.get(name) ?? null
  return { counts, retryAfterMs: Math.ceil(retryAfterMs({ get }, nowMs) ?? 0) }
}

function lowerCased(headers: ProviderHeaders): Map<string, string> {
  const entries = Symbol.iterator in headers ? headers : Object.entries(headers)
  const known = new Map<string, string>()
  for (const [name, value] of entries as Iterable<
    readonly [string, string | readonly string[] | undefined]
  >) {
    const text = typeof value === 'string' ? value : value?.[0]
    if (text !== undefined) known.set(name.toLowerCase(), text.trim())
  }
  return known
}

/** The unit and the reset of a count, found by the name of the header with the remaining units. */
function resetOf(
  name: string,
  headers: ReadonlyMap<string, string>,
  nowMs: number,
): { readonly unit: string; readonly resetMs: number } | undefined {
  const like = openAi.exec(name)
  const [, unit] = like ?? anthropic.exec(name) ?? []
  const resetName = like
    ? `x-ratelimit-reset${unit === undefined ? '' : `-${unit}`}`
    : `anthropic-ratelimit-${unit}-reset`
  const resetMs = untilReset(headers.get(resetName), nowMs)
  return resetMs === undefined ? undefined : { unit: unit ?? 'requests', resetMs }
}

/** Reads any provider's form: a duration, a time (RFC 3339 or HTTP), seconds, or seconds or milliseconds since 1970. */
function untilReset(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined || text === '') return undefined
  if (/^\d+(\.\d+)?$/.test(text)) return untilNumber(Number(text), nowMs)
  // Date.parse reads nearly any text as a year.
  if (!/^(?:\d{4}-\d\d-\d\d|[A-Z][a-z]{2}, )/.test(text)) return duration(text)
  const time = Date.parse(text)
  return Number.isNaN(time) ? undefined : Math.max(0, Math.ceil(time - nowMs))
}

function untilNumber(seconds: number, nowMs: number): number {
  if (seconds <= maxSeconds) return Math.ceil(seconds * 1_000)
  const atMs = seconds > 1_000 * maxSeconds ? seconds : seconds * 1_000
  return Math.max(0, Math.ceil(atMs - nowMs))
}

const units: Record<string, number> = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 0.001,
  µs: 0.001,
}

/** No count lasts ten years: a larger number of seconds is a time since 1970, or 1,000 times larger in milliseconds. */
const maxSeconds = 10 * 365 * 86_400

/** A Go duration such as `1h2m3.5s` or `120ms`, or one with days. */
function duration(text: string): number | undefined {
  let total = 0
  const part = /(\d+(?:\.\d*)?|\.\d+)(d|h|ms|m|us|µs|s)/y
  while (part.lastIndex < text.length) {
    const [, number, unit = ''] = part.exec(text) ?? []
    if (number === undefined) return undefined
    total += Number(number) * (units[unit] ?? Number.NaN)
  }
  return Number.isFinite(total) ? Math.ceil(total) : undefined
}
