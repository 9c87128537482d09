import type { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { bufferedResponse, withOriginOf } from '@evenkeel/core/kit'
import type { Dispatcher } from 'undici'
import { markRead } from '../dispatch/held-answer.js'

/** A request that may be sent more than once: its body has been read. */
export interface PreparedRequest {
  readonly method: string
  readonly headers: Headers
  readonly body: string | Uint8Array | undefined
  readonly redirect: 'follow' | 'error' | 'manual'
  readonly dispatcher: Dispatcher | undefined
}

/** An answer that says how long it is, and is no longer than this, is read whole. */
const maxWholeBytes = 8 << 20
const nullBodyStatuses = new Set([204, 205, 304])

let loading: Promise<typeof import('undici')> | undefined

/**
 * Loaded with the first request, and after Node's own copy: whichever is first is every fetch's dispatcher, and to
 * import a package must change nothing.
 */
export function undici(): Promise<typeof import('undici')> {
  loading ??= Promise.resolve(new Headers()).then(() => import('undici'))
  return loading
}

/**
 * Sends a request by undici's `request`, through the dispatcher that `fetch` would use: the same connections, proxies
 * and certificates, at a fraction of what web streams cost. An answer that is no stream is read whole. Redirects are
 * not followed. Rejects as `fetch` does, with the signal's reason or a TypeError with a cause.
 */
export async function send(
  url: string,
  { method, headers, body, dispatcher }: PreparedRequest,
  signal: AbortSignal,
): Promise<Response> {
  const { request } = await undici()
  const flat: string[] = []
  for (const [name, value] of headers) flat.push(name, value)
  if (!headers.has('accept')) flat.push('accept', '*/*')
  if (!headers.has('user-agent')) flat.push('user-agent', 'node')
  try {
    const answer = await request(url, {
      ...{ method: method as Dispatcher.HttpMethod, headers: flat, body: body ?? null, signal },
      ...(dispatcher !== undefined && { dispatcher }),
    })
    return await responseOf(answer, url, method)
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw new TypeError('fetch failed', { cause: error })
  }
}

async function responseOf(answer: Dispatcher.ResponseData, url: string, method: string): Promise<Response> {
  const { statusCode: status, body } = answer
  const headers = headersOf(answer.headers)
  const origin = { url, redirected: false, type: 'basic' } as const
  if (method === 'HEAD' || nullBodyStatuses.has(status)) {
    await body.dump()
    return markRead(withOriginOf(origin, new Response(null, { status, headers })))
  }
  const encoding = headers.get('content-encoding')
  const isWhole = encoding === null && Number(headers.get('content-length') ?? Number.NaN) <= maxWholeBytes
  if (isWhole) {
    const bytes = new Uint8Array(await body.arrayBuffer())
    return markRead(bufferedResponse(bytes, { status, headers }, origin))
  }
  return withOriginOf(origin, new Response(webStream(decoded(body, encoding)), { status, headers }))
}

function headersOf(received: Dispatcher.ResponseData['headers']): Headers {
  const headers = new Headers()
  for (const name in received) {
    const value = received[name]
    if (typeof value === 'string') headers.append(name, value)
    else for (const one of value ?? []) headers.append(name, one)
  }
  return headers
}

/** As `fetch` does. Nobody asked for it, but a node may. */
function decoded(body: Readable, encoding: string | null): Readable {
  switch (encoding?.toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return through(body, createGunzip())
    case 'deflate':
      return through(body, createInflate())
    case 'br':
      return through(body, createBrotliDecompress())
    default:
      return body
  }
}

function through<T extends Readable & NodeJS.WritableStream>(body: Readable, decoder: T): T {
  body.on('error', (error) => decoder.destroy(error))
  decoder.on('close', () => body.destroy())
  return body.pipe(decoder)
}

/** Piece by piece, as they are asked for. A stream that breaks off is an error of the kind that `fetch` tells. */
function webStream(body: Readable): ReadableStream<Uint8Array> {
  const pieces = body[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await pieces.next()
          if (done === true) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          controller.error(new TypeError('terminated', { cause: error }))
        }
      },
      cancel() {
        body.on('error', () => {}).destroy()
      },
    },
    { highWaterMark: 0 },
  )
}
