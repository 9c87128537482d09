import { drop } from '../dispatch/answer-body.js'
import type { PreparedRequest } from './transport.js'

const redirects = new Set([301, 302, 303, 307, 308])
/** As browsers and `fetch`. */
const maxRedirects = 20
const ofBodies = ['content-type', 'content-encoding', 'content-language', 'content-location']
const ofOrigins = ['authorization', 'proxy-authorization', 'cookie']

type Send = (url: string, request: PreparedRequest) => Promise<Response>

/**
 * Follows a node's redirects as `fetch` does, but only on the node itself: to its own origin, such as for a slash at
 * the end, or from its http to its https. A redirect to elsewhere is returned to the caller: otherwise a client that
 * may register a node could make the pool call anything.
 */
export async function followed(url: string, first: PreparedRequest, send: Send): Promise<Response> {
  let request = first
  let at = url
  for (let count = 0; ; count++) {
    const answer = await send(at, request)
    if (!redirects.has(answer.status) || request.redirect === 'manual') return answer
    if (request.redirect === 'error') {
      drop(answer)
      throw new TypeError('fetch failed', { cause: new Error('unexpected redirect') })
    }
    const next = ownTarget(at, answer.headers.get('location'))
    if (next === undefined || count >= maxRedirects) return answer
    drop(answer)
    request = redirected(request, answer.status, new URL(at).origin !== next.origin)
    at = next.href
  }
}

function ownTarget(from: string, location: string | null): URL | undefined {
  if (location === null || !URL.canParse(location, from)) return undefined
  const before = new URL(from)
  const next = new URL(location, from)
  if (next.username !== '' || next.password !== '') return undefined
  if (next.origin === before.origin) return next
  const isSecured = before.protocol === 'http:' && next.protocol === 'https:'
  return isSecured && next.hostname === before.hostname ? next : undefined
}

/** As `fetch` does: 303, and 301 and 302 after a POST, lead to a GET, and another origin gets no credentials. */
function redirected(request: PreparedRequest, status: number, isOther: boolean): PreparedRequest {
  const { method } = request
  const isGet =
    (status === 303 && method !== 'HEAD') || ((status === 301 || status === 302) && method === 'POST')
  if (!isGet && !isOther) return request
  const headers = new Headers(request.headers)
  if (isGet) for (const name of ofBodies) headers.delete(name)
  if (isOther) for (const name of ofOrigins) headers.delete(name)
  return { ...request, headers, ...(isGet && { method: 'GET', body: undefined }) }
}
