import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { option } from '../kit/validate.js'

/** What Express adds to a request: the path before it was mounted. */
type NodeRequest = IncomingMessage & { originalUrl?: string }

/**
 * Any fetch-style handler for Node's http and for Express (`app.use(toNodeHandler(handler))`). Method, path and headers
 * are passed on; the request's body is not. `request.signal` aborts when the caller is gone. What is no request of
 * fetch's is answered with 400, or 405 for a method that fetch has none of (TRACE), and never ends the process.
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
      // HTTP/2 has its method and path among the headers.
      if (!name.startsWith(':')) headers.append(name, value)
    }
    return new Request(`http://localhost${pathname}${search}`, { method, headers, signal })
  } catch {
    return undefined
  }
}

/** A path, or a whole URL as proxies are sent. The host is the header's to say. */
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
    // The caller left in the middle of the answer: there is no one to answer.
    if (!response.destroyed) throw error
  }
}
