import { InvalidOptionError, untilAborted } from '@evenkeel/core'
import { type CallOptions, optionsInHeaders, type Policy, policyOf } from '../call-options.js'
import type { Entry } from '../entry/entry.js'
import { ProviderStalledError } from '../errors.js'
import { type CacheableRequest, requestKey, type WantedForm } from '../key/request-key.js'
import { ageOf, type EntryLookup, type LookupContext, lookHere, lookUp } from '../lookup/context.js'
import type { FlightLease } from '../lookup/flight.js'
import type { SemanticLook, SemanticSearch } from '../lookup/semantic.js'
import type { ResolvedResponseOptions } from '../options.js'
import { entryKeyId } from '../stores/entry-key.js'
import type { EntryKey } from '../stores/port.js'
import { readWhole } from '../streams/read-whole.js'
import type { Outcome } from '../usage/stats.js'
import { embeddingsByItem } from './embeddings-by-item.js'
import { type Opened, openFollowed, type Successor } from './followed-response.js'
import { inForm, isStream } from './forms/forms.js'
import { describe, type ProviderRequest } from './provider-request.js'
import { canServe, marked, serveEntry } from './serve.js'
import { type SharedResponse, shareResponse } from './shared-response.js'
import { withoutUsage } from './without-usage.js'

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** How a kept stream is given: all at once, an event at a time, or at the pace at which it came. */
export type Replay = 'instant' | 'recorded' | { readonly tokensPerSecond: number }

export interface FetchOptions extends Omit<CallOptions, 'onlyIfCached'> {
  /** What really calls. @default the global fetch */
  readonly fetch?: Fetch | undefined
  /** @default 'instant' */
  readonly replay?: Replay | undefined
  /** Each input of an embeddings call is an entry of its own. @default true */
  readonly embeddingsByItem?: boolean | undefined
}

/** What fetch-level look-ups work with, beside the rest. */
export interface FetchContext extends LookupContext {
  readonly options: ResolvedResponseOptions
  readonly semantic: SemanticSearch | undefined
  /** Calls that are under way: whichever of the cache's fetches they came through. */
  readonly flights: Map<string, Promise<FlightResult>>
  /** The name of an entry for a key. */
  nameOf(namespace: string, provider: string, model: string, key: string): string
}

/** One answer that is wanted. */
export interface FetchTarget {
  readonly entryKey: EntryKey
  readonly policy: Policy
  readonly form: WantedForm
  readonly model: string
  /** Another entry was there before. */
  readonly replaces: boolean
  /** The answer has ended, and is kept or not. */
  readonly landed: () => void
}

/** What a flight gives to all who wait for it. */
export type FlightResult =
  | {
      readonly kind: 'entry'
      readonly entry: Entry
      readonly outcome: 'hit' | 'stale'
      readonly semantic?: string | undefined
    }
  | { readonly kind: 'live'; readonly live: SharedResponse; readonly outcome: 'miss' | 'coalesced' }

const maxLeaders = 3

/** The cache as a `fetch` that any provider SDK takes. */
export function cachedFetch(engine: FetchContext, fetchOptions: FetchOptions): Fetch {
  return new Responses(engine, fetchOptions).fetch
}

class Responses {
  readonly #engine: FetchContext
  readonly #upstream: Fetch
  readonly #replay: Replay
  readonly #byItem: boolean
  readonly #policy: Policy

  constructor(engine: FetchContext, options: FetchOptions) {
    this.#engine = engine
    this.#upstream = options.fetch ?? ((input, init) => fetch(input, init))
    this.#replay = checkReplay(options.replay ?? 'instant')
    this.#byItem = options.embeddingsByItem ?? true
    this.#policy = policyOf(engine.options.policy, options)
  }

  readonly fetch: Fetch = async (input, init = {}) => {
    const { scope, options } = this.#engine
    const asked = describe(input, init)
    const policy = policyOf(this.#policy, { ...scope.current, ...optionsInHeaders(asked.headers) })
    const request = requestKey(asked, options.keys, options.maxTemperature)
    if (!request.cacheable || !policy.useCache) {
      this.#engine.stats.answered(
        'bypass',
        policy.namespace,
        request.cacheable ? request.model : 'unknown',
        undefined,
      )
      const response = await asked.onward(this.#upstream, asked.signal)
      return marked(response, response.body, 'bypass')
    }
    const byItem = this.#byItem
      ? await embeddingsByItem(this.#engine, request, policy, asked, this.#upstream)
      : undefined
    return byItem ?? this.#answer(asked, request, policy)
  }

  async #answer(asked: ProviderRequest, request: CacheableRequest, policy: Policy): Promise<Response> {
    const { form, model } = request
    const name = this.#engine.nameOf(policy.namespace, request.provider, model, request.key)
    const entryKey = { namespace: policy.namespace, name }
    const here = policy.refresh ? undefined : lookHere(this.#engine, entryKey, policy)
    if (here !== undefined && here.held.entry.kind === 'response') {
      const { entry } = here.held
      const outcome = this.#isPast(entry) ? 'stale' : 'hit'
      const response = this.#serve(entry, form, entryKey, outcome)
      if (response !== undefined) {
        if (here.verdict === 'renew') this.#renew(asked, request, entryKey, policy, entry.id)
        return response
      }
    }
    return this.#fly(asked, request, entryKey, policy)
  }

  /** Joins the call that is under way, or begins one. */
  async #fly(
    asked: ProviderRequest,
    request: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
  ): Promise<Response> {
    const { form, model } = request
    const id = entryKeyId(entryKey)
    const under = policy.refresh ? undefined : this.#engine.flights.get(id)
    if (under !== undefined) {
      const landed = await orAborted(
        under.catch(() => undefined),
        asked.signal,
      )
      const response = landed && (await this.#joined(landed, form, asked.signal, entryKey, model))
      // What can't be joined any more, being too large, failed or in another form, is called anew.
      if (response !== undefined) return response
    }
    if (policy.onlyIfCached) return this.#onlyCached(request, entryKey, policy)
    const flight = this.#begin(asked, request, entryKey, policy, id)
    const landed = await orAborted(flight, asked.signal)
    if (landed.kind === 'entry') {
      const response = this.#serve(landed.entry, form, entryKey, landed.outcome, landed.semantic)
      if (response !== undefined) return response
      throw new TypeError('An answer was kept in a form that can not be read')
    }
    if (landed.outcome === 'miss') {
      return this.#live(landed.live, form, landed.outcome, asked.signal, entryKey, model)
    }
    // Another instance calls, and perhaps in another form, or it breaks off before there is a whole to be formed.
    const response = await this.#joined(landed, form, asked.signal, entryKey, model)
    return response ?? this.#alone(asked, request, entryKey, policy)
  }

  /** A call that is shared with nobody, since what is shared is of no use to its caller. */
  async #alone(
    asked: ProviderRequest,
    request: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
  ): Promise<Response> {
    const { form, model } = request
    const looked = await lookUp(this.#engine, entryKey, policy, (entry) => canServe(entry, form))
    const known = looked.entry && this.#serve(looked.entry, form, entryKey, 'hit')
    if (known !== undefined) return known
    const wanted = this.#wanted(request, entryKey, policy, looked.id, () => {}, undefined)
    const live = await this.#lead(asked, wanted, this.#engine.coordinator.alone(entryKey), looked.versions)
    return this.#live(live, form, 'miss', asked.signal, entryKey, model)
  }

  #begin(
    asked: ProviderRequest,
    request: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
    id: string,
  ): Promise<FlightResult> {
    const land = () => {
      if (this.#engine.flights.get(id) === flight) this.#engine.flights.delete(id)
    }
    const flight = this.#find(asked, request, entryKey, policy, land)
    this.#engine.flights.set(id, flight)
    // A live one stays until its answer is kept, so that latecomers can join it.
    flight.then(({ kind }) => kind === 'entry' && land(), land)
    return flight
  }

  async #find(
    asked: ProviderRequest,
    request: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
    land: () => void,
  ): Promise<FlightResult> {
    const looked = await lookUp(this.#engine, entryKey, policy, (entry) => canServe(entry, request.form))
    if (looked.entry !== undefined && !policy.refresh) {
      const { entry } = looked
      if (looked.verdict === 'renew') this.#renew(asked, request, entryKey, policy, entry.id)
      return { kind: 'entry', entry, outcome: this.#isPast(entry) ? 'stale' : 'hit' }
    }
    const look = policy.refresh
      ? undefined
      : await this.#engine.semantic?.look(this.#engine, request, entryKey, policy)
    if (look?.entry !== undefined && canServe(look.entry, request.form)) {
      return { kind: 'entry', entry: look.entry, outcome: 'hit', semantic: look.told }
    }
    try {
      const found = await this.#call(asked, request, entryKey, policy, looked, land, look)
      if (found.kind !== 'live' || !isFailure(found.live.status)) return found
      const instead = this.#instead(looked, look)
      if (instead === undefined) return found
      return instead
    } catch (error) {
      const instead = this.#instead(looked, look)
      if (instead === undefined) throw error
      return instead
    }
  }

  /** What may be served where the provider fails. */
  #instead({ grace }: EntryLookup, look: SemanticLook | undefined): FlightResult | undefined {
    if (grace !== undefined) return { kind: 'entry', entry: grace, outcome: 'stale' }
    const withheld = look?.fallback()
    return withheld && { kind: 'entry', entry: withheld.entry, outcome: 'hit', semantic: withheld.told }
  }

  /** Calls the provider, or follows whoever calls it. */
  async #call(
    asked: ProviderRequest,
    request: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
    looked: EntryLookup,
    land: () => void,
    look: SemanticLook | undefined,
  ): Promise<FlightResult> {
    const { coordinator } = this.#engine
    const wanted = this.#wanted(request, entryKey, policy, looked.id, land, look)
    for (let leaders = 0; leaders < maxLeaders; leaders++) {
      const part = await coordinator.begin(entryKey, looked.id)
      if (part.role === 'lead') {
        const live = await this.#lead(asked, wanted, part.lead, looked.versions)
        return { kind: 'live', live, outcome: 'miss' }
      }
      if (part.role === 'follow') {
        const landed = (live: SharedResponse) => void this.#followed(wanted, live).finally(land)
        const opened = await this.#follow(part.generation, asked, wanted, looked, landed)
        if (opened.kind === 'live') return { kind: 'live', live: opened.live, outcome: 'coalesced' }
        if (opened.kind === 'lost') continue
        if (opened.kind === 'failed') break
      }
      const found = await lookUp(this.#engine, entryKey, policy, (entry) => canServe(entry, request.form))
      if (found.entry === undefined) break
      return { kind: 'entry', entry: found.entry, outcome: 'hit' }
    }
    const live = await this.#lead(asked, wanted, coordinator.alone(entryKey), looked.versions)
    return { kind: 'live', live, outcome: 'miss' }
  }

  #wanted(
    { form, model }: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
    knownId: string,
    landed: () => void,
    look: SemanticLook | undefined,
  ): FetchTarget {
    const { tiers, options } = this.#engine
    return {
      ...{ entryKey, policy, form, model, replaces: knownId !== '' },
      landed: () => {
        landed()
        const entry = look && tiers.local(entryKey)?.entry
        if (entry !== undefined && entry.createdAtMs + policy.ttlMs > options.clock.now()) look?.learn(entry)
      },
    }
  }

  /** The provider is called. No caller's signal goes along: others may have joined by the time one of them leaves. */
  async #lead(
    asked: ProviderRequest,
    wanted: FetchTarget,
    lead: FlightLease,
    versions: EntryLookup['versions'],
  ): Promise<SharedResponse> {
    const { stats, metrics, options, scope } = this.#engine
    const { namespace } = wanted.policy
    const ending = new AbortController()
    const stalled = setTimeout(() => ending.abort(new ProviderStalledError(options.stallMs)), options.stallMs)
    stalled.unref()
    const beganAt = performance.now()
    try {
      const response = await scope.leave(() => asked.onward(this.#upstream, ending.signal))
      if (!response.ok) stats.failed(namespace, wanted.model)
      return shareResponse(this.#engine, wanted, lead, versions, response, beganAt)
    } catch (error) {
      stats.failed(namespace, wanted.model)
      void lead.fail('no answer').finally(wanted.landed)
      throw ending.signal.aborted ? ending.signal.reason : error
    } finally {
      clearTimeout(stalled)
      metrics.called(performance.now() - beganAt, wanted.model)
    }
  }

  /** The answer that another instance gets. It goes on here if that one dies. */
  async #follow(
    generation: string,
    asked: ProviderRequest,
    wanted: FetchTarget,
    looked: EntryLookup,
    landed: (live: SharedResponse) => void,
  ): Promise<Opened> {
    const { coordinator, options } = this.#engine
    const stopping = new AbortController()
    const records = coordinator.follow(wanted.entryKey, generation, stopping.signal)
    const opened: Opened = await openFollowed(records, () => this.#succeed(asked, wanted, looked), {
      maxBytes: options.maxEntryBytes,
      stop: () => stopping.abort(),
      landed: () => {
        if (opened.kind === 'live') landed(opened.live)
      },
    })
    return opened
  }

  /** A leader died over an answer that was passed on in part: another one leads, here or elsewhere. */
  async #succeed(asked: ProviderRequest, wanted: FetchTarget, looked: EntryLookup): Promise<Successor> {
    const { coordinator } = this.#engine
    const { entryKey, policy, form } = wanted
    for (let leaders = 0; leaders < maxLeaders; leaders++) {
      const part = await coordinator.begin(entryKey, looked.id)
      if (part.role === 'lead') {
        return {
          kind: 'live',
          live: await this.#lead(asked, { ...wanted, landed: () => {} }, part.lead, looked.versions),
        }
      }
      if (part.role === 'follow') {
        const opened = await this.#follow(part.generation, asked, wanted, looked, () => {})
        if (opened.kind === 'live') return { kind: 'live', live: opened.live }
        if (opened.kind === 'lost') continue
      }
      const found = await lookUp(this.#engine, entryKey, policy, (entry) => canServe(entry, form))
      if (found.entry !== undefined) return { kind: 'body', body: Buffer.from(found.entry.body) }
    }
    throw new TypeError('No other instance could complete the answer')
  }

  /** A followed answer has ended: what its callers were spared is told by the entry. */
  async #followed({ entryKey, policy, model }: FetchTarget, { joined }: SharedResponse): Promise<void> {
    const { entry } = await lookUp(this.#engine, entryKey, policy, ({ kind }) => kind === 'response')
    if (entry !== undefined) this.#engine.stats.saved(policy.namespace, model, entry.usage, joined.count)
  }

  /** Behind an answer that was served already. */
  #renew(
    asked: ProviderRequest,
    request: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
    entryId: string,
  ): void {
    const id = `renew ${entryKeyId(entryKey)}`
    if (this.#engine.flights.has(id)) return
    const { coordinator, tiers, scope } = this.#engine
    const renewal = async (): Promise<FlightResult> => {
      const part = await coordinator.begin(entryKey, entryId)
      if (part.role !== 'lead') throw new TypeError('Another instance renews it')
      const { versions } = await tiers.find(entryKey, policy.tags)
      const wanted = this.#wanted(
        request,
        entryKey,
        policy,
        entryId,
        () => this.#engine.flights.delete(id),
        undefined,
      )
      return { kind: 'live', live: await this.#lead(asked, wanted, part.lead, versions), outcome: 'miss' }
    }
    const flight = scope.leave(renewal)
    this.#engine.flights.set(id, flight)
    flight.catch(() => this.#engine.flights.delete(id))
  }

  async #onlyCached(
    { form, model }: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
  ): Promise<Response> {
    const { entry } = await lookUp(this.#engine, entryKey, policy, (known) => canServe(known, form))
    const response = entry && this.#serve(entry, form, entryKey, this.#isPast(entry) ? 'stale' : 'hit')
    if (response !== undefined) return response
    this.#engine.stats.answered('miss', entryKey.namespace, model, undefined)
    const body = JSON.stringify({ error: { message: 'Not in the cache, and only-if-cached was asked for' } })
    const headers = new Headers({ 'content-type': 'application/json' })
    return marked({ status: 504, statusText: 'Gateway Timeout', headers }, body, 'miss')
  }

  /** What a flight gives to a caller who joined it; nothing where it is of no use to him. */
  async #joined(
    landed: FlightResult,
    form: WantedForm,
    signal: AbortSignal | undefined,
    entryKey: EntryKey,
    model: string,
  ): Promise<Response | undefined> {
    if (landed.kind === 'entry')
      return this.#serve(landed.entry, form, entryKey, landed.outcome, landed.semantic)
    const { live } = landed
    if (!live.recording.joinable || live.isSpoilt()) return undefined
    const contentType = live.headers.get('content-type') ?? ''
    if (live.status !== 200 || form.wire === undefined || isStream(contentType) === form.streamed) {
      if (form.usage && !live.usageAsked) return undefined
      return this.#live(live, form, 'coalesced', signal, entryKey, model)
    }
    // In the other form it can be had when it is whole.
    const body = await orAborted(readWhole(live.recording.read(signal)), signal).catch((error: unknown) => {
      if (signal?.aborted) throw error
      return undefined
    })
    const formed = body && inForm({ contentType, body }, form)
    if (formed === undefined) return undefined
    live.joined.count++
    this.#engine.stats.answered('coalesced', entryKey.namespace, model, undefined)
    const headers = new Headers(live.headers)
    headers.set('content-type', formed.contentType)
    return marked(
      { status: 200, statusText: live.statusText, headers },
      new Uint8Array(formed.body),
      'coalesced',
      true,
    )
  }

  #live(
    live: SharedResponse,
    form: WantedForm,
    outcome: 'miss' | 'coalesced',
    signal: AbortSignal | undefined,
    { namespace }: EntryKey,
    model: string,
  ): Response {
    this.#engine.stats.answered(outcome, namespace, model, undefined)
    if (outcome === 'coalesced') live.joined.count++
    const body = live.recording.read(signal)
    // Whoever called first asked for its usage; who joins without asking must not be sent it.
    const isBare = outcome === 'coalesced' && live.usageAsked && form.streamed && !form.usage
    return marked(live, isBare ? withoutUsage(body) : body, outcome, outcome === 'coalesced')
  }

  #serve(
    entry: Entry,
    form: WantedForm,
    entryKey: EntryKey,
    outcome: Outcome,
    semantic?: string,
  ): Response | undefined {
    const told = { outcome, ageMs: ageOf(this.#engine, entry), semantic }
    const response = serveEntry(entry, form, told, this.#replay)
    if (response !== undefined)
      this.#engine.stats.answered(outcome, entryKey.namespace, entry.model, entry.usage)
    return response
  }

  #isPast({ freshUntilMs }: Entry): boolean {
    return this.#engine.options.clock.now() >= freshUntilMs
  }
}

function isFailure(status: number): boolean {
  return status >= 500 || status === 429 || status === 408
}

function checkReplay(replay: Replay): Replay {
  const isPaced = typeof replay === 'object' && replay.tokensPerSecond > 0
  if (replay === 'instant' || replay === 'recorded' || isPaced) return replay
  throw new InvalidOptionError('replay', "'instant', 'recorded' or { tokensPerSecond } above 0", replay)
}

async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return signal ? untilAborted(promise, signal) : promise
}
