import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { option } from '../kit/validate.js'

/** Express adds the path as it was before mounting. */
type NodeRequest = IncomingMessage & { originalUrl?: string }

/**
 * Adapts a fetch-style handler to Node's http and to Express (`app.use(toNodeHandler(handler))`). Method, path and
 * headers are passed on, the body is not. `request.signal` aborts when the client disconnects. A request that fetch
 * can't represent is answered with 400, or with 405 for a method that fetch does not support (TRACE).
 */
export function toNodeHandler(handler: (request: Request) => Promise<Response>) {
  option.fn('handler', handler)
  return (request: NodeRequest, response: ServerResponse, next?: (error: unknown) => void): void => {
    void answer(handler, request, response).catch((error: unknown) => {
      if (response.headersSent) return void response.destroy()
      if (next !== undefined) return next(error)
      response.writeHead(500).end()
    })
  }
}

const noRequests = new Set(['CONNECT', 'TRACE', 'TRACK'])

async function answer(
  handler: (request: Request) => Promise<Response>,
  request: NodeRequest,
  response: ServerResponse,
): Promise<void> {
  const method = request.method ?? 'GET'
  if (noRequests.has(method)) return void response.writeHead(405, { allow: 'GET, HEAD' }).end()
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const asked = toRequest(request, method, gone.signal)
  if (asked === undefined) return void response.writeHead(400).end()
  await send(await handler(asked), method, response)
}

function toRequest(request: NodeRequest, method: string, signal: AbortSignal): Request | undefined {
  try {
    const { pathname, search } = targetOf(request.originalUrl ?? request.url ?? '/')
    const headers = new Headers()
    const { rawHeaders } = request
    for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
      const [name = '', value = ''] = rawHeaders.slice(at, at + 2)
      // HTTP/2 puts method and path among the headers.
      if (!name.startsWith(':')) headers.append(name, value)
    }
    return new Request(`http://localhost${pathname}${search}`, { method, headers, signal })
  } catch {
    return undefined
  }
}

/** A path, or a whole URL as sent to proxies. The host comes from its header. */
function targetOf(target: string): URL {
  return target.startsWith('/') ? new URL(`http://localhost${target}`) : new URL(target)
}

async function send(answered: Response, method: string, response: ServerResponse): Promise<void> {
  for (const [name, value] of answered.headers) {
    if (name !== 'set-cookie') response.setHeader(name, value)
  }
  const cookies = answered.headers.getSetCookie()
  if (cookies.length > 0) response.setHeader('set-cookie', cookies)
  response.writeHead(answered.status)
  if (method === 'HEAD' || answered.body === null) {
    await answered.body?.cancel()
    response.end()
    return
  }
  try {
    await pipeline(Readable.fromWeb(answered.body), response)
  } catch (error) {
    // The client disconnected during the answer.
    if (!response.destroyed) throw error
  }
}
