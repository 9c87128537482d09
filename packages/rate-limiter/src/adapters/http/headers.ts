import type { RateLimitDecision } from '../../decide/result.js'
import type { Policy } from '../../rate-limiter.js'

/**
 * `'draft'`: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10. `'legacy'`:
 * `X-RateLimit-*` of the nearest limit, its reset in seconds since 1970. `'openai'`, `'anthropic'`: as those
 * providers send them, one set a limit, by its unit.
 */
export type HeaderStyle = 'draft' | 'legacy' | 'openai' | 'anthropic'

export const headerStyles: readonly HeaderStyle[] = ['draft', 'legacy', 'openai', 'anthropic']

type Policies = Readonly<Record<string, Policy>>
type Headers = Record<string, string>

/** What an answer says of its limits, and, where it was denied, when to come back. */
export function rateLimitHeaders(
  decision: RateLimitDecision<string>,
  policies: Policies,
  styles: readonly HeaderStyle[],
  nowMs: number,
): Headers {
  const headers: Headers = {}
  for (const style of styles) writers[style](headers, decision, policies, nowMs)
  // Never before the limit that denied has room: both are rounded up.
  if (!decision.allowed) headers['Retry-After'] = String(Math.max(1, seconds(decision.retryAfterMs)))
  return headers
}

const writers: Record<
  HeaderStyle,
  (headers: Headers, decision: RateLimitDecision<string>, policies: Policies, nowMs: number) => void
> = {
  draft(headers, decision, policies, nowMs) {
    const told: string[] = []
    const state: string[] = []
    for (const [name, status] of Object.entries(decision.limits)) {
      const policy = policies[name]
      if (status === undefined || policy === undefined) continue
      const untilMs = status.allowed ? status.resetAtMs - nowMs : status.retryAfterMs
      told.push(`${quoted(name)};q=${policy.limit}${windowOf(policy)}${unitOf(policy)}`)
      state.push(`${quoted(name)};r=${status.remaining};t=${seconds(untilMs)}`)
    }
    if (told.length === 0) return
    headers['RateLimit-Policy'] = told.join(', ')
    headers.RateLimit = state.join(', ')
  },
  legacy(headers, { limit, remaining, resetAtMs }) {
    headers['X-RateLimit-Limit'] = String(limit)
    headers['X-RateLimit-Remaining'] = String(remaining)
    headers['X-RateLimit-Reset'] = String(seconds(resetAtMs))
  },
  openai(headers, { limits }, policies, nowMs) {
    for (const [name, status] of Object.entries(limits)) {
      const unit = policies[name]?.unit
      if (status === undefined || unit === undefined) continue
      headers[`x-ratelimit-limit-${unit}`] = String(status.limit)
      headers[`x-ratelimit-remaining-${unit}`] = String(status.remaining)
      headers[`x-ratelimit-reset-${unit}`] = goDuration(Math.max(0, status.resetAtMs - nowMs))
    }
  },
  anthropic(headers, { limits }, policies) {
    for (const [name, status] of Object.entries(limits)) {
      const unit = policies[name]?.unit
      if (status === undefined || unit === undefined) continue
      headers[`anthropic-ratelimit-${unit}-limit`] = String(status.limit)
      headers[`anthropic-ratelimit-${unit}-remaining`] = String(status.remaining)
      headers[`anthropic-ratelimit-${unit}-reset`] = new Date(
        Math.ceil(status.resetAtMs / 1_000) * 1_000,
      ).toISOString()
    }
  },
}

function seconds(ms: number): number {
  return Math.max(0, Math.ceil(ms / 1_000))
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
