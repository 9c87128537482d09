import { InvalidOptionError } from '@evenkeel/core'
import { isRequest, option, type Spans } from '@evenkeel/core/kit'
import { addressGuard, callSpans, type DecoderPool, type PoolFetchOptions } from '../api.js'
import { NoNodeError } from '../errors.js'
import type { AddressGuard } from '../nodes/addresses.js'
import type { DecoderNode } from '../nodes/node.js'
import { CallSpans } from './call-span.js'
import { type FetchInit, prepare } from './pool-request.js'
import { followed } from './redirects.js'
import { type PreparedRequest, send, undici } from './transport.js'

export interface CreatePoolFetchOptions extends PoolFetchOptions {
  readonly pool: DecoderPool
}

/** Calls in flight and their arguments, because nothing else may refer to a caller's signal or request. */
const underWay = new Set<object>()

/**
 * Like `pool.fetch(options)`, for the given pool. @throws what `pool.fetch()` throws
 * @example
 * const openai = new OpenAI({ baseURL: 'http://pool/v1', apiKey, fetch: createPoolFetch({ pool }) })
 */
export function createPoolFetch(options: CreatePoolFetchOptions): typeof globalThis.fetch {
  option.members('', options, { pool: true, wanted: true, fetch: true, noNode: true })
  const { pool, wanted = {}, fetch, noNode = 'answer' } = options
  option.oneOf('noNode', noNode, ['answer', 'throw'])
  if (fetch !== undefined) option.fn('fetch', fetch)
  if (typeof pool?.run !== 'function') {
    throw new InvalidOptionError('pool', 'made by createDecoderPool()', pool)
  }
  const guard = (pool as { [addressGuard]?: AddressGuard })[addressGuard]
  const spans = (pool as { [callSpans]?: Spans })[callSpans]
  const own: Calls = { custom: fetch, guard }
  // Loaded now, so that the first request does not wait for it. If it fails, that request reports it.
  if (fetch === undefined) undici().catch(() => {})
  return async (input, init) => {
    const call = { input, init }
    let trace: CallSpans | undefined
    underWay.add(call)
    try {
      const { url, request, signal, seen } = await prepare(input, init as FetchInit)
      const options = typeof wanted === 'function' ? wanted(seen) : wanted
      const path = `${url.pathname}${url.search}`
      trace = spans && new CallSpans(spans, seen)
      const tried = await pool.run((node, either) => ask(node, path, request, either, { ...own, trace }), {
        signal,
        ...options,
      })
      const answer = trace === undefined ? tried : trace.follow(tried)
      // Its signal follows the caller's only as long as the request is referenced.
      if (isRequest(input) && answer.body !== null)
        Object.defineProperty(answer.body, asked, { value: input })
      return answer
    } catch (error) {
      trace?.failed(error)
      if (noNode === 'throw' || !(error instanceof NoNodeError)) throw error
      return unserved(error)
    } finally {
      underWay.delete(call)
    }
  }
}

const asked = Symbol('the request that was asked')

interface Calls {
  readonly custom: PoolFetchOptions['fetch']
  readonly guard: AddressGuard | undefined
  readonly trace?: CallSpans | undefined
}

async function ask(
  node: DecoderNode,
  path: string,
  prepared: PreparedRequest,
  signal: AbortSignal,
  { custom, guard, trace }: Calls,
): Promise<Response> {
  if (trace !== undefined)
    return trace.attempt(node, prepared.headers, (headers) =>
      ask(node, path, { ...prepared, headers }, signal, { custom, guard }),
    )
  const next = custom ?? replacedFetch()
  // A custom fetch or dispatcher may resolve names in its own way.
  const looking = guard?.check(node.endpoint, next === undefined && prepared.dispatcher === undefined)
  if (looking !== undefined) await looking
  return followed(`${node.endpoint}${path}`, prepared, (url, request) => {
    const isPlain = next === undefined && !request.headers.has('accept-encoding')
    return isPlain
      ? send(url, request, signal)
      : byFetch(next ?? globalThis.fetch, url, request, signal, node)
  })
}

async function byFetch(
  fetch: NonNullable<PoolFetchOptions['fetch']>,
  url: string,
  { method, headers, body, dispatcher }: PreparedRequest,
  signal: AbortSignal,
  node: DecoderNode,
): Promise<Response> {
  const init: FetchInit = { method, headers: new Headers(headers), signal, redirect: 'manual' }
  if (body !== undefined) init.body = body as NonNullable<RequestInit['body']>
  if (dispatcher !== undefined) init.dispatcher = dispatcher
  return fetch(url, init as RequestInit, node)
}

const nativeFetch = globalThis.fetch

/** The global `fetch`, if a test or an instrumentation has replaced it, which must see these calls too. */
function replacedFetch(): typeof globalThis.fetch | undefined {
  return globalThis.fetch === nativeFetch ? undefined : globalThis.fetch
}

/** In the format of OpenAI's API, so that clients report the reason, which they hide if a `fetch` throws it. */
function unserved({ reason, message }: NoNodeError): Response {
  const isUnknown = reason === 'no-match'
  const error = {
    message,
    type: isUnknown ? 'invalid_request_error' : 'server_error',
    param: null,
    code: isUnknown ? 'model_not_found' : 'no_node',
  }
  const headers = isUnknown ? { 'x-should-retry': 'false' } : { 'retry-after': '1' }
  return Response.json(
    { error },
    { status: isUnknown ? 404 : 503, headers: { ...headers, 'x-evenkeel-code': 'NO_NODE' } },
  )
}
