import { type Duration, durationMs, untilAborted } from '@evenkeel/core'
import type { Entry } from './entry.js'
import { parseObject, requestKey } from './key/request-key.js'
import type { ResolvedOptions } from './options.js'
import type { StatsCounter } from './stats.js'
import { isProperEnd, StreamJudge } from './stream/completeness.js'
import { Recording } from './stream/recording.js'
import { tokensOf } from './usage.js'
import type { Vault } from './vault.js'

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

export interface FetchOptions {
  /** What really calls. @default the global fetch */
  readonly fetch?: Fetch | undefined
  /** @default the cache's */
  readonly ttl?: Duration | undefined
}

type Outcome = 'hit' | 'miss' | 'coalesced' | 'bypass'

/** One answer on its way to any number of callers. */
type Flight =
  | { readonly kind: 'entry'; readonly entry: Entry }
  | {
      readonly kind: 'live'
      readonly status: number
      readonly statusText: string
      readonly headers: Headers
      readonly recording: Recording
      readonly judge: StreamJudge
      /** How many callers joined; their tokens are counted as saved when the stream has told them. */
      readonly joined: { count: number }
    }

/** Headers that told of one transfer, not of the answer. The body is decompressed already. */
const ofTheTransfer = ['connection', 'content-encoding', 'content-length', 'keep-alive', 'transfer-encoding']

export const cacheHeader = 'x-evenkeel-cache'

/** The cache as a `fetch` that any provider SDK takes. */
export function cachedFetch(
  parts: { readonly vault: Vault; readonly stats: StatsCounter; readonly options: ResolvedOptions },
  fetchOptions: FetchOptions,
): Fetch {
  const { vault, stats, options } = parts
  const { clock } = options
  const upstream: Fetch = fetchOptions.fetch ?? ((input, init) => fetch(input, init))
  const ttlMs =
    fetchOptions.ttl === undefined ? options.ttlMs : durationMs('ttl', fetchOptions.ttl, { minMs: 1 })
  const flights = new Map<string, Promise<Flight>>()

  const call = async (
    key: string,
    model: string,
    url: URL,
    init: RequestInit,
    epoch: string,
  ): Promise<Flight> => {
    // No caller's signal goes upstream: others may have joined by the time one of them leaves.
    const { signal: _, ...request } = init
    const response = await upstream(url.href, request).catch((error: unknown) => {
      stats.add('errors')
      throw error
    })
    if (!response.ok) stats.add('errors')
    const contentType = response.headers.get('content-type') ?? ''
    const isStream = contentType.includes('text/event-stream')
    const judge = new StreamJudge()
    const joined = { count: 0 }
    const recording = new Recording(response.body ?? emptyStream(), {
      maxBytes: options.maxEntryBytes,
      onChunk: (chunk) => {
        if (isStream) judge.push(chunk)
      },
      onEnd: ({ chunks, error }) => {
        const kept =
          chunks === undefined || error !== undefined ? Promise.resolve() : keep(Buffer.concat(chunks))
        // Until the entry is there, who asks joins what has just ended.
        void kept.finally(() => flights.delete(key))
      },
    })
    const keep = async (body: Buffer): Promise<void> => {
      if (response.status !== 200) return
      const tokens = isStream ? judge.tokens : tokensOfJson(body)
      stats.add('tokensSaved', tokens * joined.count)
      if (isStream ? !judge.whole : !isWholeJson(contentType, body)) return
      const now = clock.now()
      const times = { createdAtMs: now, expiresAtMs: now + ttlMs }
      const entry: Entry = {
        kind: 'response',
        ...times,
        epoch,
        model,
        tokens,
        status: 200,
        contentType,
        body,
      }
      if (await vault.keep(key, entry)) stats.add('stored')
    }
    const { status, statusText } = response
    return { kind: 'live', status, statusText, headers: response.headers, recording, judge, joined }
  }

  const begin = async (
    key: string,
    model: string,
    url: URL,
    init: RequestInit,
    refresh: boolean,
  ): Promise<Flight> => {
    const { entry, epoch } = await vault.find(key, 'response')
    if (entry !== undefined && !refresh) return { kind: 'entry', entry }
    return call(key, model, url, init, epoch)
  }

  const fly = (
    key: string,
    model: string,
    url: URL,
    init: RequestInit,
    refresh: boolean,
  ): Promise<Flight> => {
    const flight = begin(key, model, url, init, refresh)
    flights.set(key, flight)
    const land = () => {
      if (flights.get(key) === flight) flights.delete(key)
    }
    // A live one stays until its recording has ended, so that latecomers can join it.
    flight.then(({ kind }) => kind === 'entry' && land(), land)
    return flight
  }

  return async (input, init = {}) => {
    const request = describe(input, init)
    const directive = request.headers.get('cache-control') ?? ''
    const found = requestKey(request.url, request.method, request.headers, request.body)
    if (!found.cacheable || directive.includes('no-store')) {
      stats.add('bypassed')
      return marked(await upstream(input, init), 'bypass')
    }
    const { key, model } = found
    const refresh = directive.includes('no-cache')
    const under = refresh ? undefined : flights.get(key)
    const joined =
      under === undefined
        ? undefined
        : await orAborted(
            under.catch(() => undefined),
            request.signal,
          )
    // What can't be joined any more, being too large or failed, is called anew.
    const canJoin = joined !== undefined && isJoinable(joined)
    const flight =
      canJoin && joined
        ? joined
        : await orAborted(fly(key, model, request.url, request.init, refresh), request.signal)
    if (flight.kind === 'entry') {
      stats.add('hits')
      stats.add('tokensSaved', flight.entry.tokens)
      return replay(flight.entry, clock.now())
    }
    stats.add(canJoin ? 'coalesced' : 'misses')
    if (canJoin) flight.joined.count++
    return live(flight, canJoin ? 'coalesced' : 'miss', request.signal)
  }
}

/** Whether a latecomer gets the whole answer, and a good one as far as is known. */
function isJoinable(flight: Flight): boolean {
  return flight.kind === 'entry' || (flight.recording.joinable && !flight.judge.spoilt)
}

interface Described {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: unknown
  readonly init: RequestInit
  readonly signal: AbortSignal | null | undefined
}

/** A Request has its body as a stream, which is not ours to read: it is passed on. */
function describe(input: string | URL | Request, init: RequestInit): Described {
  const isRequest = typeof input === 'object' && 'url' in input
  const url = new URL(isRequest ? input.url : input)
  const method = (init.method ?? (isRequest ? input.method : 'GET')).toUpperCase()
  const headers = new Headers(init.headers ?? (isRequest ? input.headers : undefined))
  return { url, method, headers, body: init.body ?? undefined, init, signal: init.signal }
}

async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  return signal ? untilAborted(promise, signal) : promise
}

function replay({ body, status, contentType, createdAtMs }: Entry, now: number): Response {
  const age = String(Math.max(0, Math.floor((now - createdAtMs) / 1_000)))
  const headers = { 'content-type': contentType, age, [cacheHeader]: 'hit' }
  return new Response(new Uint8Array(body), { status, headers })
}

function live(
  { status, statusText, headers, recording }: Extract<Flight, { kind: 'live' }>,
  outcome: Outcome,
  signal: AbortSignal | null | undefined,
): Response {
  return marked(
    new Response(hasBody(status) ? recording.read(signal) : null, { status, statusText, headers }),
    outcome,
  )
}

function marked(response: Response, outcome: Outcome): Response {
  const headers = new Headers(response.headers)
  for (const name of ofTheTransfer) headers.delete(name)
  headers.set(cacheHeader, outcome)
  const { status, statusText } = response
  return new Response(response.body, { status, statusText, headers })
}

function hasBody(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304
}

function isWholeJson(contentType: string, body: Buffer): boolean {
  if (!contentType.includes('json')) return false
  const answer = parseObject(body.toString())
  return answer !== undefined && !answer.error && isProperEnd(answer)
}

function tokensOfJson(body: Buffer): number {
  return tokensOf(parseObject(body.toString()))
}

function emptyStream(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() })
}
