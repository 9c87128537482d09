import { InvalidOptionError } from '@evenkeel/core'
import { createLog, isRequest, linkSignals, option, watchedBody, withOriginOf } from '@evenkeel/core/kit'
import type { Policy, RateLimiter } from '../api.js'
import type { Costs } from '../costs.js'
import type { Reservation } from '../decide/reservation.js'
import { estimateCall } from '../provider/estimate.js'
import { type TokenUsage, UsageReader } from '../provider/usage.js'
import type { LimitedFetchOptions, OutgoingCall } from './fetch-options.js'

const log = createLog('rate-limiter')

const optionNames: Readonly<Record<keyof LimitedFetchOptions<string>, true>> = {
  subject: true,
  costs: true,
  defaultOutputTokens: true,
  timeout: true,
  retries: true,
  fetch: true,
}

const refusedStatuses = [429, 503, 529]
/** A body whose `content-length` is at most this is read whole. */
const maxWholeBytes = 1 << 20
/** How long a stream may stay unread before its slot is released, since its reader may have left unnoticed. */
const maxUnreadMs = 60_000

type Policies = readonly (readonly [string, Policy])[]

/** What {@link RateLimiter.fetch} returns. @throws InvalidOptionError */
export function createLimitedFetch<Name extends string>(
  limiter: RateLimiter<Name>,
  options: LimitedFetchOptions<Name>,
): typeof globalThis.fetch {
  option.members('', options, optionNames)
  const { subject, costs, defaultOutputTokens = 1_024, timeout = '30s', retries = 2 } = options
  const next = options.fetch
  option.integer('defaultOutputTokens', defaultOutputTokens, { min: 0 })
  option.integer('retries', retries, { min: 0, max: 100 })
  option.duration('timeout', timeout)
  if (costs !== undefined) option.fn('costs', costs)
  if (next !== undefined) option.fn('fetch', next)
  const policies = Object.entries<Policy>(limiter.policies)
  if (costs === undefined && !policies.some(([, policy]) => isCounted(policy)))
    throw new InvalidOptionError('costs', 'a function, since no limit counts requests or tokens', costs)
  const holdsSlots = policies.some(([, { kind }]) => kind === 'concurrency')

  return async (resource, init) => {
    const call = outgoing(resource, init)
    const name = typeof subject === 'function' ? subject(call) : (subject ?? call.url.host)
    const reserved = costs?.(call) ?? estimated<Name>(policies, call, defaultOutputTokens)
    const signal = init?.signal ?? (isRequest(resource) ? resource.signal : undefined)
    const maxAttempts = isRepeatable(resource, init) ? retries : 0
    for (let attempt = 0; ; attempt++) {
      const reservation = await limiter.acquire(name, reserved, { timeout, signal: signal ?? undefined })
      const limited = new LimitedCall(reservation, policies)
      const response = await limited.make(next ?? globalThis.fetch, resource, init, holdsSlots)
      const isRefused = refusedStatuses.includes(response.status)
      // Refunds come before the headers are learned: a later one would be added to what they say is left. Only a stream
      // can't wait for that.
      if (!response.ok) await limited.cancel()
      const finished = !isRefused && !isStream(response) ? await limited.finish(response) : undefined
      const retryAfterMs = await learn(limiter, name, response)
      if (!isRefused) return finished ?? limited.finish(response)
      if (retryAfterMs === 0 || attempt >= maxAttempts) return response
      await response.body?.cancel()
    }
  }
}

/** One call and its reservation, which is settled or cancelled exactly once, whatever happens to the call. */
class LimitedCall<Name extends string> {
  readonly #reservation: Reservation<Name>
  readonly #policies: Policies
  #unlink = () => {}

  constructor(reservation: Reservation<Name>, policies: Policies) {
    this.#reservation = reservation
    this.#policies = policies
  }

  /** @param holdsSlots whether the call may lose a slot, which ends the call */
  async make(
    next: typeof globalThis.fetch,
    resource: string | URL | Request,
    init: RequestInit | undefined,
    holdsSlots: boolean,
  ): Promise<Response> {
    try {
      if (!holdsSlots) return await next(resource, init)
      const own = init?.signal ?? (isRequest(resource) ? resource.signal : undefined)
      const linked = linkSignals(own ?? undefined, this.#reservation.signal)
      this.#unlink = linked.unlink
      return await next(resource, { ...init, signal: linked.signal })
    } catch (error) {
      await this.cancel()
      throw error
    }
  }

  async cancel(): Promise<void> {
    this.#unlink()
    await this.#reservation.cancel().catch((error: unknown) => log('a call was not cancelled: %O', error))
  }

  /** Settles when the answer has ended. Answers that are not streams are read whole, so that they always end. */
  async finish(response: Response): Promise<Response> {
    const reader = new UsageReader(response.headers.get('content-type') ?? '')
    if (!isReadable(response)) {
      await this.#settle(response, reader)
      return response
    }
    if (!isWhole(response)) {
      return watchedBody(response, {
        onEnd: () => void this.#settle(response, reader),
        onChunk: (chunk) => reader.see(chunk),
        maxUnreadMs,
      })
    }
    const body = await readWhole(response, reader)
    await this.#settle(response, reader)
    return withBody(response, body)
  }

  /** The caller already has the answer: if settling fails, the estimate stays. An error's answer used no tokens. */
  async #settle(response: Response, reader: UsageReader): Promise<void> {
    this.#unlink()
    if (!response.ok) return this.cancel()
    const usage = reader.end()
    const actual = usage === undefined ? {} : usedCosts(usage, this.#policies, this.#reservation)
    try {
      await this.#reservation.settle(actual as Costs<Name>)
    } catch (error) {
      log('a call was not settled: %O', error)
      await this.#reservation[Symbol.asyncDispose]().catch(() => {})
    }
  }
}

/** A failure to apply the provider's headers must not cost the caller its answer. */
async function learn<Name extends string>(
  limiter: RateLimiter<Name>,
  subject: string,
  { headers, status }: Response,
): Promise<number> {
  try {
    return (await limiter.learn(subject, headers, { status })).retryAfterMs
  } catch (error) {
    log('headers of a provider were not learned: %O', error)
    return 0
  }
}

function isReadable({ body }: Response): boolean {
  return body !== null && !body.locked
}

function isStream(response: Response): boolean {
  return isReadable(response) && !isWhole(response)
}

/** Whether the caller will read the answer whole: an error, JSON, or an answer that says that it is short. */
function isWhole({ ok, headers }: Response): boolean {
  const type = headers.get('content-type') ?? ''
  if (type.includes('event-stream') || type.includes('ndjson') || type.includes('jsonl')) return false
  if (!ok || /[/+]json\b/.test(type)) return true
  const length = headers.get('content-length')
  return length !== null && Number(length) <= maxWholeBytes
}

type WholeBody = { readonly bytes: ArrayBuffer } | { readonly error: unknown }

async function readWhole(response: Response, reader: UsageReader): Promise<WholeBody> {
  try {
    const bytes = await response.arrayBuffer()
    reader.see(new Uint8Array(bytes))
    return { bytes }
  } catch (error) {
    return { error }
  }
}

/** The same response with its body. A body that broke off fails when it is read, as it would have without this. */
function withBody(response: Response, body: WholeBody): Response {
  const { status, statusText, headers } = response
  const content =
    'bytes' in body ? body.bytes : new ReadableStream({ start: (controller) => controller.error(body.error) })
  return withOriginOf(response, new Response(content, { status, statusText, headers }))
}

function usedCosts<Name extends string>(
  usage: TokenUsage,
  policies: Policies,
  { limits }: Reservation<Name>,
): Record<string, number> {
  const costs: Record<string, number> = {}
  for (const [name, { unit }] of policies) {
    const tokens = tokensOf(unit, usage)
    if (tokens !== undefined && Object.hasOwn(limits, name)) costs[name] = tokens
  }
  return costs
}

function estimated<Name extends string>(
  policies: Policies,
  { body, hasBody }: OutgoingCall,
  defaultOutput: number,
): Costs<Name> {
  // A call without a body does not run a model.
  const estimate = hasBody ? estimateCall(body, defaultOutput) : { input: 0, output: 0 }
  const costs: Record<string, number> = {}
  for (const [name, policy] of policies) {
    const tokens = tokensOf(policy.unit, { ...estimate, total: estimate.input + estimate.output })
    if (tokens !== undefined) costs[name] = Math.min(policy.limit, tokens)
    else if (isCounted(policy)) costs[name] = 1
  }
  return costs as Costs<Name>
}

function isCounted({ kind, unit }: Policy): boolean {
  return (
    kind === 'concurrency' || unit === 'requests' || unit === 'tokens' || /^(in|out)put-tokens$/.test(unit)
  )
}

function tokensOf(unit: string, { input, output, total }: TokenUsage): number | undefined {
  if (unit === 'tokens') return total
  if (unit === 'input-tokens') return input
  return unit === 'output-tokens' ? output : undefined
}

function outgoing(resource: string | URL | Request, init: RequestInit | undefined): OutgoingCall {
  const request = isRequest(resource) ? resource : undefined
  const body = init?.body ?? request?.body
  return {
    url: new URL(request?.url ?? String(resource)),
    method: init?.method ?? request?.method ?? 'GET',
    headers: new Headers(init?.headers ?? request?.headers),
    body: typeof body === 'string' ? body : undefined,
    hasBody: body !== undefined && body !== null && body !== '',
  }
}

function isRepeatable(resource: string | URL | Request, init: RequestInit | undefined): boolean {
  const body = init?.body ?? (isRequest(resource) ? resource.body : undefined)
  return body === undefined || body === null || typeof body === 'string'
}
