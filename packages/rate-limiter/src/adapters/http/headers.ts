import type { Policy } from '../../api.js'
import type { LimitStatus, RateLimitDecision } from '../../decide/result.js'

/**
 * `'draft'`: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10. `'legacy'`:
 * `X-RateLimit-*` of the nearest limit, its reset in seconds since 1970. `'openai'`, `'anthropic'`: as those
 * providers send them, one set a limit, by its unit.
 */
export type HeaderStyle = 'draft' | 'legacy' | 'openai' | 'anthropic'

export const headerStyles: readonly HeaderStyle[] = ['draft', 'legacy', 'openai', 'anthropic']

type Policies = Readonly<Record<string, Policy>>
export type Headers = Record<string, string>

/** What an answer says of its limits, and, where it was denied, when to come back. */
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
 * When a refused caller is to come back, rounded up, so that it is never before the limit that denied has room.
 * When a slot of a `concurrency` comes free is not known: a second, then.
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
 * Headers as they stand beside what the answer has already: the draft's are lists, to which another limiter on the
 * same answer appends; of the legacy ones those of the nearer limit stay.
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

/** Limits of two limiters may have one name; on an answer each policy has its own. */
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

/** A blocked subject has nothing left, whatever its limits hold. */
function remainingOf({ blocked }: RateLimitDecision<string>, status: LimitStatus): number {
  return blocked ? 0 : status.remaining
}

/** Until there is room: for the same cost where it was denied, for the whole limit where it was not. */
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

/** A structured field's string (RFC 9651); names of limits hold nothing that needs escaping. */
function quoted(name: string): string {
  return `"${name}"`
}

function windowOf({ windowMs }: Policy): string {
  return windowMs === undefined ? '' : `;w=${Math.max(1, seconds(windowMs))}`
}

/** `requests` is what the draft takes for granted. */
function unitOf({ kind, unit }: Policy): string {
  if (kind === 'concurrency') return ';qu="concurrent-requests"'
  return unit === 'requests' ? '' : `;qu="${unit}"`
}

/** As OpenAI writes it: `6m0s`, `1.5s`, `120ms`. */
function goDuration(ms: number): string {
  if (ms < 1_000) return `${Math.ceil(ms)}ms`
  const minutes = Math.floor(ms / 60_000)
  const rest = `${Math.ceil(ms % 60_000) / 1_000}s`
  return minutes === 0 ? rest : `${minutes}m${rest}`
}
