import { InvalidOptionError } from '@evenkeel/core'
import { AdmissionControl, type HttpLimitOptions } from './http/admission.js'
import { appendTo } from './http/headers.js'
import { refusalOf } from './http/node.js'
import type { RequestView } from './http/subjects.js'
import { endWithBody, lifeOfWebAnswer } from './http/web.js'

export interface WebLimitOptions<Name extends string, Args extends readonly unknown[]>
  extends HttpLimitOptions<Name, Request> {
  /**
   * Reads the client's address, which a `Request` does not contain: `(request, event) => event.getClientAddress()` in
   * SvelteKit. It receives the arguments of the handler. Without it, give `subject`: `byApiKey()`, or
   * `byIp({ trustedProxies: 1 })` behind a proxy.
   */
  readonly address?: ((request: Request, ...args: Args) => string | undefined) | undefined
}

/** A handler of a fetch-style server: route handlers of Next, and handlers of SvelteKit, Bun and Deno. */
export type WebHandler<R extends Request, Args extends readonly unknown[]> = (
  request: R,
  ...args: Args
) => Response | Promise<Response>

/**
 * Limits handlers that take a `Request` and return a `Response`. A slot of a `concurrency` is held until the answer's
 * body has been read, cancelled or dropped, or the request's signal aborts.
 * @throws InvalidOptionError
 * @example
 * const limited = rateLimit({ limiter, subject: byApiKey() })
 * export const POST = limited(async (request) => Response.json(await answer(request)))
 */
export function rateLimit<Name extends string, Args extends readonly unknown[] = readonly unknown[]>(
  options: WebLimitOptions<Name, Args>,
): <R extends Request, Own extends Args>(
  handler: WebHandler<R, Own>,
) => (request: R, ...args: Own) => Promise<Response> {
  const { address, subject } = options
  if (address === undefined && subject === undefined)
    throw new InvalidOptionError(
      'subject',
      'a function, or `address`, since a Request does not name its client',
      subject,
    )
  const control = new AdmissionControl<Name, Request>(options)
  return (handler) =>
    async (request, ...args) => {
      const life = lifeOfWebAnswer(request)
      const view: RequestView = {
        header: (name) => request.headers.get(name) ?? undefined,
        get address() {
          return address?.(request, ...args)
        },
      }
      const admission = await control.admit(request, view, life)
      if (admission.outcome === 'unlimited') return handler(request, ...args)
      // Nobody reads this answer. 499 is what proxies log for a client that has left.
      if (admission.outcome === 'abandoned') return new Response(null, { status: 499 })
      if (admission.outcome === 'refused') {
        const { status, headers, body } = refusalOf(admission)
        return new Response(body, { status, headers })
      }
      try {
        return endWithBody(request, withHeaders(await handler(request, ...args), admission.headers), life)
      } catch (error) {
        life.end({ status: 500, aborted: false })
        throw error
      }
    }
}

/** Copies a response whose headers can't be changed (from `fetch`, or a redirect). */
function withHeaders(response: Response, headers: Readonly<Record<string, string>>): Response {
  const added = Object.entries(appendTo((name) => response.headers.get(name), headers))
  try {
    for (const [name, value] of added) response.headers.set(name, value)
    return response
  } catch {
    const { status, statusText, body } = response
    const all = new Headers(response.headers)
    for (const [name, value] of added) all.set(name, value)
    return new Response(body, { status, statusText, headers: all })
  }
}

export * from './http/index.js'
