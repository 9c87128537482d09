import { InvalidInputError, InvalidOptionError } from '@evenkeel/core'
import { isPromiseLike } from '@evenkeel/core/kit'
import { optionsInHeaders, type Policy, policyOf } from '../call-options.js'
import {
  type BypassReason,
  type CacheableRequest,
  endpointFor,
  requestKey,
  type WantedForm,
} from '../key/request-key.js'
import type { Call, CallerIdentity, Found } from '../lookup/call.js'
import { ageOf, isPast } from '../lookup/context.js'
import { Lookup } from '../lookup/lookup.js'
import { isProviderOutage } from '../lookup/outage.js'
import type { EntryKey } from '../stores/port.js'
import type { AnswerOutcome } from '../usage/stats.js'
import { embeddingsByItem } from './embeddings-by-item.js'
import { followResponse } from './followed-response.js'
import { inForm, isStream } from './forms/forms.js'
import { type Fetch, type FetchOptions, type ResolvedFetchOptions, resolveFetchOptions } from './options.js'
import { describe, type ProviderRequest } from './provider-request.js'
import type { ResponseContext } from './response-context.js'
import { canServe, marked, passed, serveEntry } from './serve.js'
import { isEverybodys, type SharedResponse, shareResponse } from './shared-response.js'
import { withoutUsage } from './without-usage.js'

/** The cache as a `fetch` that any provider SDK takes. */
export function cachedFetch(context: ResponseContext, fetchOptions: FetchOptions): Fetch {
  return new CachedFetch(context, fetchOptions).fetch
}

/** One request for which the cache is asked. */
interface Asked {
  readonly request: CacheableRequest
  readonly policy: Policy
  readonly entryKey: EntryKey
  readonly provider: ProviderRequest
  readonly body: string
}

class CachedFetch {
  readonly #context: ResponseContext
  readonly #options: ResolvedFetchOptions
  readonly #policy: Policy
  readonly #lookup: Lookup<SharedResponse>

  constructor(context: ResponseContext, options: FetchOptions) {
    this.#context = context
    this.#options = resolveFetchOptions(options)
    this.#policy = policyOf(context.options.policy, options)
    this.#lookup = new Lookup(context)
  }

  readonly fetch: Fetch = async (input, init = {}) => {
    const provider = describe(input, init)
    provider.signal?.throwIfAborted()
    const policy = this.#policyOf(provider)
    if (policy instanceof Response) return policy
    const { options } = this.#context
    const endpoint = endpointFor(provider, options.keys)
    if (typeof endpoint === 'string') return this.#pass(provider, policy, endpoint)
    const text = provider.text()
    const body = isPromiseLike(text) ? await text : text
    const { url, method, headers } = provider
    const request = requestKey({ url, method, headers, endpoint, body }, options.keys, options.maxTemperature)
    if (!request.cacheable) return this.#pass(provider, policy, request.reason)
    if (!policy.useCache) return this.#pass(provider, policy, 'asked-for', request.model)
    const name = this.#context.nameOf(policy.tenant, request.provider, request.model, request.key)
    const entryKey = { tenant: policy.tenant, name }
    const asked = { request, policy, entryKey, provider, body: body ?? '' }
    if (this.#options.byItem && request.endpoint.answers === 'embeddings') {
      const upstream = this.#options.upstream
      const byItem = await embeddingsByItem(this.#context, { ...asked, upstream, owner: this })
      if (byItem !== undefined) return byItem
    }
    return this.#answer(asked)
  }

  /** The application's options and, with `optionsByHeader`, those of the headers. An invalid header is a 400. */
  #policyOf({ headers }: ProviderRequest): Policy | Response {
    const { current } = this.#context.scope
    const base = current === undefined ? this.#policy : policyOf(this.#policy, current)
    if (!this.#options.byHeader) return base
    try {
      const policy = policyOf(base, optionsInHeaders(headers))
      return { ...policy, ttlMs: Math.min(policy.ttlMs, base.ttlMs) }
    } catch (error) {
      if (!(error instanceof InvalidInputError || error instanceof InvalidOptionError)) throw error
      const { message, code } = error
      return Response.json({ error: { message, code, type: 'invalid_request_error' } }, { status: 400 })
    }
  }

  async #pass(
    provider: ProviderRequest,
    policy: Policy,
    reason: BypassReason,
    model = 'unknown',
  ): Promise<Response> {
    this.#context.stats.bypassed(reason, { tenant: policy.tenant, model })
    return passed(await provider.pass(this.#options.upstream), reason)
  }

  async #answer(asked: Asked): Promise<Response> {
    const { form } = asked.request
    const call = this.#callOf(asked)
    const found = await this.#lookup.find(call)
    const response = await this.#given(found, asked, call.identity)
    if (response !== undefined) return response
    // The shared answer broke off or can't be converted: this caller makes a call of its own.
    const alone = await this.#lookup.find({
      ...call,
      policy: { ...asked.policy, refresh: true },
      form: undefined,
    })
    const own = await this.#given(alone, asked, call.identity)
    if (own === undefined)
      throw new TypeError(`The provider's answer can not be had as ${form.streamed ? 'a stream' : 'JSON'}`)
    return own
  }

  #callOf({ request, policy, entryKey, provider, body }: Asked): Call<SharedResponse> {
    const { form, model } = request
    const { options, semantic, scope } = this.#context
    const identity: CallerIdentity = {
      owner: this,
      // Computed only when a caller joins, or fails.
      get credentials() {
        return provider.credentials
      },
    }
    const target = { request, policy, identity }
    return {
      entryKey,
      policy,
      model,
      identity,
      signal: provider.signal,
      isRetry: provider.isRetry,
      form: `${form.streamed ? 'stream' : 'object'}${form.usage ? ' usage' : ''}${form.variant}`,
      isOutage: isProviderOutage,
      suits: (entry) => canServe(entry, form),
      joins: (live) => canJoin(live, form, identity),
      produce: async (context) => {
        const response = await scope.leave(() => provider.call(this.#options.upstream, body, context.signal))
        if (response.ok) this.#context.stats.knows(model)
        return shareResponse(this.#context, target, response, context)
      },
      discard: ({ body: given }) => {
        if (!Buffer.isBuffer(given))
          given
            .read()
            .cancel()
            .catch(() => {})
      },
      follow: (records, follow) =>
        followResponse(records, follow, {
          url: provider.url.href,
          maxBytes: options.maxEntryBytes,
          stallMs: options.stallMs,
        }),
      ...(semantic === undefined
        ? {}
        : { alternative: () => semantic.look(this.#context, request, entryKey, policy) }),
    }
  }

  /** Makes a response for this caller from what was found; `undefined` if this caller can't use it. */
  async #given(
    found: Found<SharedResponse>,
    { request, entryKey, provider }: Asked,
    identity: CallerIdentity | undefined,
  ): Promise<Response | undefined> {
    const { form, model } = request
    const { stats } = this.#context
    if (found.kind === 'nothing') return this.#notKept(entryKey, model, provider.url.href)
    if (found.kind === 'entry') {
      const { entry } = found
      const outcome = found.outcome === 'hit' && isPast(this.#context, entry) ? 'stale' : found.outcome
      const told = {
        outcome,
        ageMs: ageOf(this.#context, entry),
        url: provider.url.href,
        semantic: found.told,
      }
      const response = serveEntry(entry, form, told, this.#options.replay)
      if (response !== undefined) stats.answered(outcome, { ...entryKey, model: entry.model }, entry.usage)
      return response
    }
    const { live, outcome } = found
    const isShared = outcome !== 'miss'
    const body = isShared ? await sharedBody(live, form, provider.signal) : bodyOf(live, provider.signal)
    if (body === undefined) return undefined
    if (isShared) live.joined.count++
    this.#count(live, outcome, entryKey, model)
    return marked(live, body.body, {
      outcome,
      isShared,
      contentType: body.contentType,
      isOwnAccount: live.identity !== undefined && live.identity.credentials === identity?.credentials,
    })
  }

  /** Counts a joined caller's saved tokens, if the answer is buffered; those of a stream are counted at its end. */
  #count(live: SharedResponse, outcome: AnswerOutcome, { tenant, name }: EntryKey, model: string): void {
    const { stats } = this.#context
    if (live.status === 200) stats.knows(model)
    stats.answered(outcome, { tenant, model, name })
    if (outcome !== 'miss' && Buffer.isBuffer(live.body)) {
      stats.saved(tenant, model, live.usage?.() ?? { input: 0, output: 0 })
    }
  }

  #notKept({ tenant, name }: EntryKey, model: string, url: string): Response {
    this.#context.stats.answered('miss', { tenant, model, name })
    const body = JSON.stringify({ error: { message: 'Not in the cache, and only-if-cached was asked for' } })
    const headers = new Headers({ 'content-type': 'application/json' })
    const head = { status: 504, statusText: 'Gateway Timeout', url, headers }
    return marked(head, Buffer.from(body), { outcome: 'miss' })
  }
}

/** Whether a caller may be given an answer that is under way for another one. */
function canJoin(live: SharedResponse, form: WantedForm, identity: CallerIdentity): boolean {
  const { status, body } = live
  if (live.isSpoilt()) return false
  if (!Buffer.isBuffer(body) && (!body.joinable || body.isSuspect)) return false
  // A failure may be about one account alone.
  if (!isEverybodys(status) && status !== 200) {
    const { identity: his } = live
    return his !== undefined && his.owner === identity.owner && his.credentials === identity.credentials
  }
  if (status !== 200) return true
  const isStreamed = isStream(live.headers.get('content-type') ?? '')
  if (form.wire === undefined) return isStreamed === form.streamed
  const needsUsage = form.wire === 'openai-chat' || form.wire === 'openai-completions'
  if (isStreamed && form.streamed) return !form.usage || live.usageAsked
  if (isStreamed) return form.wire !== 'openai-completions' && (!needsUsage || live.usageAsked)
  if (!form.streamed) return true
  return Buffer.isBuffer(body) && inForm({ contentType: 'application/json', body }, form) !== undefined
}

interface GivenBody {
  readonly body: ReadableStream<Uint8Array> | Uint8Array
  readonly contentType?: string
}

function bodyOf({ body }: SharedResponse, signal: AbortSignal | undefined): GivenBody {
  return { body: Buffer.isBuffer(body) ? body : body.read(signal) }
}

/** The body for a caller that joined: as it comes or, once it is complete, in the other form. */
async function sharedBody(
  live: SharedResponse,
  form: WantedForm,
  signal: AbortSignal | undefined,
): Promise<GivenBody | undefined> {
  const { body } = live
  const contentType = live.headers.get('content-type') ?? ''
  if (live.status !== 200 || form.wire === undefined || isStream(contentType) === form.streamed) {
    if (Buffer.isBuffer(body)) return bodyOf(live, signal)
    // The first caller asked for the usage; a caller that joins without asking must not get it.
    const isBare = live.usageAsked && form.streamed && !form.usage
    return { body: isBare ? withoutUsage(body.read(signal)) : body.read(signal) }
  }
  try {
    const whole = Buffer.isBuffer(body) ? body : Buffer.concat(await body.readAll(signal))
    const formed = inForm({ contentType, body: whole }, form)
    return formed && { body: formed.body, contentType: formed.contentType }
  } catch (error) {
    if (signal?.aborted) throw error
    return undefined
  }
}
