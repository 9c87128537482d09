import type { Policy } from '../../api.js'
import type { LimitStatus, RateLimitDecision } from '../../decide/result.js'

/**
 * `'draft'`: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10. `'legacy'`: `X-RateLimit-*`
 * of the limit nearest to exhaustion, with its reset in seconds since 1970. `'openai'`, `'anthropic'`: as those
 * providers send them, with one set of headers for each limit, named by its unit.
 */
export type HeaderStyle = 'draft' | 'legacy' | 'openai' | 'anthropic'

export const headerStyles: readonly HeaderStyle[] = ['draft', 'legacy', 'openai', 'anthropic']

type Policies = Readonly<Record<string, Policy>>
export type Headers = Record<string, string>

/** Headers that report the limits of a decision and, if it was denied, when to try again. */
export function rateLimitHeaders(
  decision: RateLimitDecision<string>,
  policies: Policies,
  styles: readonly HeaderStyle[],
  nowMs = Date.now(),
): Headers {
  const headers: Headers = {}
  for (const style of styles) writers[style](headers, decision, policies, nowMs)
  if (!decision.allowed) headers['Retry-After'] = String(retryAfterSeconds(decision, policies))
  return headers
}

/**
 * Seconds until a refused caller may try again, rounded up so that the limit that denied has room by then. When
 * a slot of a `concurrency` becomes free is unknown, so for those it is one second.
 */
export function retryAfterSeconds(decision: RateLimitDecision<string>, policies: Policies): number {
  if (decision.blocked) return Math.max(1, seconds(decision.retryAfterMs))
  let longestMs = 0
  for (const [name, status] of statuses(decision)) {
    if (!status.allowed && policies[name]?.kind !== 'concurrency')
      longestMs = Math.max(longestMs, status.retryAfterMs)
  }
  return Math.max(1, seconds(longestMs))
}

/**
 * Merges headers into an answer that may already have some. The draft's headers are lists, to which a second limiter
 * appends; of the legacy headers, those of the limit nearer to exhaustion stay.
 */
export function appendTo(get: (name: string) => unknown, headers: Readonly<Headers>): Headers {
  const merged = { ...headers }
  const policies = textOf(get('RateLimit-Policy'))
  if (merged['RateLimit-Policy'] !== undefined && policies !== '') {
    for (const name of ['RateLimit-Policy', 'RateLimit'] as const) {
      const own = (merged[name] ?? '').replace(/"([\w.-]+)"(?=;[qr]=)/g, (_, limit: string) =>
        quoted(freeName(limit, policies)),
      )
      merged[name] = [textOf(get(name)), own].filter((part) => part !== '').join(', ')
    }
  }
  const remaining = textOf(get('X-RateLimit-Remaining'))
  if (remaining !== '' && Number(remaining) < Number(merged['X-RateLimit-Remaining'])) {
    for (const name of ['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'])
      delete merged[name]
  }
  return merged
}

/** Two limiters may have limits of the same name; in one answer each policy needs its own. */
function freeName(limit: string, policies: string): string {
  let name = limit
  for (let count = 2; policies.includes(`${quoted(name)};`); count++) name = `${limit}-${count}`
  return name
}

function textOf(header: unknown): string {
  if (Array.isArray(header)) return header.join(', ')
  return typeof header === 'string' || typeof header === 'number' ? String(header) : ''
}

const writers: Record<
  HeaderStyle,
  (headers: Headers, decision: RateLimitDecision<string>, policies: Policies, nowMs: number) => void
> = {
  draft(headers, decision, policies) {
    const quotas: string[] = []
    const state: string[] = []
    for (const [name, status] of statuses(decision)) {
      const policy = policies[name]
      if (policy === undefined) continue
      quotas.push(`${quoted(name)};q=${integer(policy.limit)}${windowOf(policy)}${unitOf(policy)}`)
      const reset =
        policy.kind === 'concurrency' && !decision.blocked ? '' : `;t=${seconds(untilMs(decision, status))}`
      state.push(`${quoted(name)};r=${integer(remainingOf(decision, status))}${reset}`)
    }
    if (quotas.length === 0) return
    headers['RateLimit-Policy'] = quotas.join(', ')
    headers.RateLimit = state.join(', ')
  },
  legacy(headers, decision, _policies, nowMs) {
    headers['X-RateLimit-Limit'] = String(decision.limit)
    headers['X-RateLimit-Remaining'] = String(remainingOf(decision, decision))
    headers['X-RateLimit-Reset'] = String(seconds(nowMs + resetMs(decision, decision)))
  },
  openai(headers, decision, policies) {
    for (const [name, status] of statuses(decision)) {
      const unit = policies[name]?.unit
      if (unit === undefined) continue
      headers[`x-ratelimit-limit-${unit}`] = String(status.limit)
      headers[`x-ratelimit-remaining-${unit}`] = String(remainingOf(decision, status))
      headers[`x-ratelimit-reset-${unit}`] = goDuration(resetMs(decision, status))
    }
  },
  anthropic(headers, decision, policies, nowMs) {
    for (const [name, status] of statuses(decision)) {
      const unit = policies[name]?.unit
      if (unit === undefined) continue
      headers[`anthropic-ratelimit-${unit}-limit`] = String(status.limit)
      headers[`anthropic-ratelimit-${unit}-remaining`] = String(remainingOf(decision, status))
      const resetAt = new Date(seconds(nowMs + resetMs(decision, status)) * 1_000)
      headers[`anthropic-ratelimit-${unit}-reset`] = resetAt.toISOString().replace('.000Z', 'Z')
    }
  },
}

function statuses({ limits }: RateLimitDecision<string>): [string, LimitStatus][] {
  return Object.entries(limits).flatMap(([name, status]) => (status === undefined ? [] : [[name, status]]))
}

/** A blocked subject has nothing left, whatever its limits still hold. */
function remainingOf({ blocked }: RateLimitDecision<string>, status: LimitStatus): number {
  return blocked ? 0 : status.remaining
}

/** Milliseconds until there is room: for the same cost if it was denied, otherwise until the limit is full. */
function untilMs(decision: RateLimitDecision<string>, status: LimitStatus): number {
  if (decision.blocked) return decision.retryAfterMs
  return status.allowed ? status.resetMs : status.retryAfterMs
}

function resetMs({ blocked, retryAfterMs }: RateLimitDecision<string>, status: LimitStatus): number {
  return blocked ? retryAfterMs : Math.max(status.resetMs, status.retryAfterMs)
}

function seconds(ms: number): number {
  return integer(Math.ceil(ms / 1_000))
}

/** The largest integer of a structured field has 15 digits (RFC 9651, 3.3.1). */
const maxInteger = 999_999_999_999_999

function integer(value: number): number {
  return Math.min(maxInteger, Math.max(0, value))
}

/** A string in a structured field (RFC 9651). Names of limits contain nothing that needs escaping. */
function quoted(name: string): string {
  return `"${name}"`
}

function windowOf({ windowMs }: Policy): string {
  return windowMs === undefined ? '' : `;w=${Math.max(1, seconds(windowMs))}`
}

/** The draft's default unit is `requests`. */
function unitOf({ kind, unit }: Policy): string {
  if (kind === 'concurrency') return ';qu="concurrent-requests"'
  return unit === 'requests' ? '' : `;qu="${unit}"`
}

/** A duration in OpenAI's form: `6m0s`, `1.5s`, `120ms`. */
function goDuration(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)}ms`
  const minutes = Math.floor(ms / 60_000)
  const rest = `${Math.ceil(ms % 60_000) / 1_000}s`
  return minutes === 0 ? rest : `${minutes}m${rest}`
}
