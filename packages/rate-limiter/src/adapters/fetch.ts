import { type Duration, durationMs, InvalidOptionError, wholeNumber } from '@evenkeel/core'
import type { Costs } from '../costs.js'
import type { Reservation } from '../decide/reservation.js'
import { estimateTokens } from '../provider/estimate.js'
import { type TokenUsage, UsageReader } from '../provider/usage.js'
import type { Policy, RateLimiter } from '../rate-limiter.js'
import { whenBodyEnds } from './http/body.js'

/** A call that is about to be made. */
export interface OutgoingCall {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  /** The body, where it is text. */
  readonly body: string | undefined
}

export interface LimitedFetchOptions<Name extends string> {
  readonly limiter: RateLimiter<Name>
  /** Whose limits are meant: the provider's, or one of several keys of it. @default the URL's host */
  readonly subject?: string | ((call: OutgoingCall) => string) | undefined
  /**
   * What a call is reserved. @default by the limits' units: one of `requests`, the estimate of `tokens`,
   * `input-tokens` and `output-tokens` (at most what the limit can ever admit), one slot of a concurrency
   */
  readonly costs?: ((call: OutgoingCall) => Costs<Name>) | undefined
  /** Tokens that a model may write where the call does not say it. @default 1_024 */
  readonly defaultOutputTokens?: number | undefined
  /** How long a call waits to be admitted; what would take longer fails at once. @default '30s' */
  readonly timeout?: Duration | undefined
  /**
   * How often a call that the provider refused with 429, 503 or 529 and a `retry-after` is made again, after
   * waiting for it. Only calls whose body is text or nothing. @default 2
   */
  readonly retries?: number | undefined
  /** @default the global fetch */
  readonly fetch?: typeof globalThis.fetch | undefined
}

const refused = [429, 503, 529]

/**
 * A fetch that keeps to a provider's limits, for any SDK that takes one. Each call waits until the limits
 * admit its estimate, tells the limiter what the provider's headers say, waits out a `retry-after` together
 * with all other instances, and settles what the answer says it used. Streams pass through as they come.
 * @throws RateLimitedError, QueueFullError, and what fetch throws
 * @example new OpenAI({ fetch: limitedFetch({ limiter }) })
 */
export function limitedFetch<Name extends string>(
  options: LimitedFetchOptions<Name>,
): typeof globalThis.fetch {
  const { limiter, subject, defaultOutputTokens = 1_024, timeout = '30s', retries = 2 } = options
  if (typeof limiter?.acquire !== 'function')
    throw new InvalidOptionError('limiter', 'made by createRateLimiter()', limiter)
  wholeNumber('defaultOutputTokens', defaultOutputTokens, 0)
  wholeNumber('retries', retries, 0, 100)
  durationMs('timeout', timeout)
  const policies = Object.entries<Policy>(limiter.policies)
  const costsOf = options.costs ?? ((call) => estimated<Name>(policies, call, defaultOutputTokens))

  return async (input, init) => {
    const call = outgoing(input, init)
    const name = typeof subject === 'function' ? subject(call) : (subject ?? call.url.host)
    const signal = init?.signal ?? requestIn(input)?.signal
    const costs = costsOf(call)
    const again = isRepeatable(input, init) ? retries : 0
    for (let attempt = 0; ; attempt++) {
      const reservation = await limiter.acquire(name, costs, { timeout, signal: signal ?? undefined })
      const response = await make(options.fetch ?? globalThis.fetch, input, init, signal, reservation)
      const learned = await limiter.learn(name, response.headers, { status: response.status })
      if (refused.includes(response.status)) {
        await reservation.cancel()
        if (learned.retryAfterMs > 0 && attempt < again) {
          await response.body?.cancel()
          continue
        }
        return response
      }
      return settling(response, reservation, policies)
    }
  }
}

async function make<Name extends string>(
  fetch: typeof globalThis.fetch,
  input: string | URL | Request,
  init: RequestInit | undefined,
  signal: AbortSignal | null | undefined,
  reservation: Reservation<Name>,
): Promise<Response> {
  const signals = signal ? AbortSignal.any([signal, reservation.signal]) : reservation.signal
  try {
    return await fetch(input, { ...init, signal: signals })
  } catch (error) {
    await reservation.cancel()
    throw error
  }
}

/** Settles when the body has ended; an error's answer used nothing. */
function settling<Name extends string>(
  response: Response,
  reservation: Reservation<Name>,
  policies: readonly [string, Policy][],
): Response {
  const reader = new UsageReader(response.headers.get('content-type') ?? '')
  const settle = async () => {
    if (!response.ok) return reservation.cancel()
    const usage = reader.end()
    return reservation.settle(usage === undefined ? ({} as Costs<Name>) : used(usage, policies, reservation))
  }
  return whenBodyEnds(
    response,
    // The caller has its answer: what can't be settled stays as it was estimated.
    () => settle().catch(() => reservation[Symbol.asyncDispose]().catch(() => {})),
    (chunk) => reader.see(chunk),
  )
}

function used<Name extends string>(
  usage: TokenUsage,
  policies: readonly [string, Policy][],
  { limits }: Reservation<Name>,
): Costs<Name> {
  const costs: Record<string, number> = {}
  for (const [name, { unit }] of policies) {
    const tokens = tokensOf(unit, usage)
    if (tokens !== undefined && Object.hasOwn(limits, name)) costs[name] = tokens
  }
  return costs as Costs<Name>
}

function estimated<Name extends string>(
  policies: readonly [string, Policy][],
  { body }: OutgoingCall,
  defaultOutput: number,
): Costs<Name> {
  const estimate = estimateTokens(body, defaultOutput)
  const costs: Record<string, number> = {}
  for (const [name, { kind, unit, limit }] of policies) {
    const tokens = tokensOf(unit, { ...estimate, total: estimate.input + estimate.output })
    if (tokens !== undefined) costs[name] = Math.min(limit, tokens)
    else if (kind === 'concurrency' || unit === 'requests') costs[name] = 1
  }
  return costs as Costs<Name>
}

function tokensOf(unit: string, { input, output, total }: TokenUsage): number | undefined {
  if (unit === 'tokens') return total
  if (unit === 'input-tokens') return input
  return unit === 'output-tokens' ? output : undefined
}

/** By its shape: servers put a `Request` of their own in the global's place, of which others are no instances. */
function requestIn(input: string | URL | Request): Request | undefined {
  return typeof input === 'string' || 'href' in input ? undefined : input
}

function outgoing(input: string | URL | Request, init: RequestInit | undefined): OutgoingCall {
  const request = requestIn(input)
  return {
    url: new URL(request?.url ?? String(input)),
    method: init?.method ?? request?.method ?? 'GET',
    headers: new Headers(init?.headers ?? request?.headers),
    body: typeof init?.body === 'string' ? init.body : undefined,
  }
}

function isRepeatable(input: string | URL | Request, init: RequestInit | undefined): boolean {
  const body = init?.body ?? requestIn(input)?.body
  return body === undefined || body === null || typeof body === 'string'
}
