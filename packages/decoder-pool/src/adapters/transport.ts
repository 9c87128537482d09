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

/** An answer that says how long it is, or that it is JSON, and is no longer than this, is read whole. */
const maxWholeBytes = 8 << 20
/** JSON that arrives in parts, with pauses longer than this (milliseconds), is passed on as it arrives. */
const maxPauseMs = 50
const nullBodyStatuses = new Set([204, 205, 304])

let loading: Promise<typeof import('undici')> | undefined

/**
 * Loads undici on demand, and after Node's own copy: the copy that is loaded first sets the dispatcher of every
 * `fetch`, and an import of this package must not change that.
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
      method: method as Dispatcher.HttpMethod,
      headers: flat,
      body: body ?? null,
      signal,
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
  const encoding = textOf(answer.headers['content-encoding'])
  if (encoding === null) {
    const length = textOf(answer.headers['content-length'])
    const isShort = length !== null && Number(length) <= maxWholeBytes
    if (isShort) {
      const bytes = new Uint8Array(await body.arrayBuffer())
      return markRead(bufferedResponse(bytes, { status, headers }, origin))
    }
    if (length === null && /[/+]json\b/i.test(textOf(answer.headers['content-type']) ?? '')) {
      const read = await readPrompt(body)
      if (read.isWhole) return markRead(bufferedResponse(joined(read.pieces), { status, headers }, origin))
      return withOriginOf(origin, new Response(webStream(body, read.pieces), { status, headers }))
    }
  }
  return withOriginOf(origin, new Response(webStream(decoded(body, encoding)), { status, headers }))
}

interface ReadSoFar {
  readonly pieces: readonly Buffer[]
  readonly isWhole: boolean
}

/**
 * Reads what arrives without a pause, up to the bound. That is all of an answer that the server wrote at once, even if
 * it did not send its length. @throws what breaks it off
 */
function readPrompt(body: Readable): Promise<ReadSoFar> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let length = 0
    const over = () => {
      clearTimeout(timer)
      body.off('data', take).off('end', end).off('error', fail).off('close', close)
    }
    const handOn = () => {
      over()
      body.pause()
      resolve({ pieces, isWhole: false })
    }
    const timer = setTimeout(handOn, maxPauseMs)
    const take = (piece: Buffer) => {
      pieces.push(piece)
      length += piece.byteLength
      if (length > maxWholeBytes) handOn()
      else timer.refresh()
    }
    const end = () => {
      over()
      resolve({ pieces, isWhole: true })
    }
    const fail = (error: Error) => {
      over()
      reject(error)
    }
    const close = () => fail(new Error('other side closed'))
    body.on('data', take).once('end', end).once('error', fail).once('close', close)
  })
}

function joined(pieces: readonly Buffer[]): Uint8Array {
  const [only] = pieces
  return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces)
}

function textOf(value: string | string[] | undefined): string | null {
  if (value === undefined) return null
  return typeof value === 'string' ? value : value.join(', ')
}

function headersOf(received: Dispatcher.ResponseData['headers']): [string, string][] {
  const headers: [string, string][] = []
  for (const name in received) {
    const value = received[name]
    if (typeof value === 'string') headers.push([name, value])
    else for (const one of value ?? []) headers.push([name, one])
  }
  return headers
}

/** As `fetch` does. A node may compress although it was not asked to. */
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

/** A web stream that reads on demand. If the body breaks off, it fails with an error like that of `fetch`. */
function webStream(body: Readable, first: readonly Buffer[] = []): ReadableStream<Uint8Array> {
  const before = [...first]
  const pieces = body[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const [piece] = before.splice(0, 1)
          if (piece !== undefined) return controller.enqueue(piece)
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
