/** What a provider said of one of its own counts. */
export interface ProviderCount {
  /** `'requests'`, `'tokens'`, `'input-tokens'`, … */
  readonly unit: string
  readonly remaining: number
  /** Until the count is whole again. */
  readonly resetMs: number
}

export interface ProviderLimits {
  readonly counts: readonly ProviderCount[]
  /** How long the provider asks to be left alone; 0 when it does not. */
  readonly retryAfterMs: number
}

export type ProviderHeaders =
  | Iterable<readonly [string, string]>
  | Readonly<Record<string, string | readonly string[] | undefined>>

const openAi = /^x-ratelimit-remaining-(.+)$/
const anthropic = /^anthropic-ratelimit-(.+)-remaining$/

/**
 * Reads `retry-after`, `retry-after-ms`, `x-ratelimit-*` as OpenAI and those who follow it send them (resets are
 * durations such as `6m0s`), and `anthropic-ratelimit-*` (resets are RFC 3339 times). What can't be read is
 * left out.
 */
export function readProviderHeaders(headers: ProviderHeaders, nowMs: number): ProviderLimits {
  const known = lowerCased(headers)
  const counts: ProviderCount[] = []
  for (const [name, value] of known) {
    const [, unit] = openAi.exec(name) ?? []
    const [, other] = anthropic.exec(name) ?? []
    const remaining = Number(value)
    if (value === '' || !Number.isFinite(remaining) || remaining < 0) continue
    const reset =
      unit === undefined
        ? untilTime(known.get(`anthropic-ratelimit-${other}-reset`), nowMs)
        : duration(known.get(`x-ratelimit-reset-${unit}`))
    const counted = unit ?? other
    if (counted === undefined || reset === undefined) continue
    counts.push({ unit: counted, remaining: Math.floor(remaining), resetMs: reset })
  }
  return { counts, retryAfterMs: retryAfter(known, nowMs) }
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

/** RFC 9110, 10.2.3: seconds or a date. Azure and OpenAI send milliseconds beside it. */
function retryAfter(headers: ReadonlyMap<string, string>, nowMs: number): number {
  const ms = Number(headers.get('retry-after-ms') || Number.NaN)
  if (ms >= 0) return Math.ceil(ms)
  const text = headers.get('retry-after')
  if (text === undefined || text === '') return 0
  const seconds = Number(text)
  if (seconds >= 0) return Math.ceil(seconds * 1_000)
  return untilTime(text, nowMs) ?? 0
}

function untilTime(text: string | undefined, nowMs: number): number | undefined {
  const time = text === undefined ? Number.NaN : Date.parse(text)
  return Number.isNaN(time) ? undefined : Math.max(0, Math.ceil(time - nowMs))
}

const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 0.001, µs: 0.001 }

/** A Go duration such as `1h2m3.5s` or `120ms`; a bare number is seconds. */
function duration(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (/^[\d.]+$/.test(text)) return Math.ceil(Number(text) * 1_000)
  let total = 0
  let rest = text
  for (const [part, number, unit] of text.matchAll(/([\d.]+)(h|ms|m|us|µs|s)/g)) {
    total += Number(number) * (units[unit ?? ''] ?? Number.NaN)
    rest = rest.replace(part, '')
  }
  return rest === '' && Number.isFinite(total) ? Math.ceil(total) : undefined
}
