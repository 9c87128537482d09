import type { IncomingMessage, ServerResponse } from 'node:http'
import { AdmissionControl, type HttpLimitOptions } from './http/admission.js'
import { appendTo } from './http/headers.js'
import { lifeOfNodeAnswer, refusalOf, viewOfNode } from './http/node.js'

export type NodeLimitOptions<Name extends string> = HttpLimitOptions<Name, IncomingMessage>

/**
 * Limits the requests of a `node:http` server. Resolves with `true` if the request may continue. Otherwise it has been
 * answered already, or the client has disconnected. The client's address is the address of the connected peer. A slot
 * of a `concurrency` is held until the answer is sent or the client has disconnected.
 * @throws what the functions in its options throw
 * @example
 * const limit = rateLimit({ limiter })
 * createServer(async (request, response) => {
 *   if (await limit(request, response)) response.end('hello')
 * })
 */
export function rateLimit<Name extends string>(
  options: NodeLimitOptions<Name>,
): (request: IncomingMessage, response: ServerResponse) => Promise<boolean> {
  const control = new AdmissionControl(options)
  return async (request, response) => {
    const life = lifeOfNodeAnswer(request, response)
    const admission = await control.admit(request, viewOfNode(request, undefined), life)
    if (admission.outcome === 'unlimited') return true
    if (admission.outcome === 'abandoned' || response.headersSent) return false
    const setHeaders = (headers: Readonly<Record<string, string>>) => {
      for (const [name, value] of Object.entries(appendTo((own) => response.getHeader(own), headers)))
        response.setHeader(name, value)
    }
    if (admission.outcome === 'admitted') {
      setHeaders(admission.headers)
      return true
    }
    const { status, headers, body } = refusalOf(admission)
    setHeaders(headers)
    response.statusCode = status
    response.end(body)
    return false
  }
}

export * from './http/index.js'
