import type { Context, MiddlewareHandler } from 'hono'
import { AdmissionControl, type HttpLimitOptions } from './http/admission.js'
import { whenBodyEnds } from './http/body.js'
import { refusalOf } from './http/node.js'
import type { RequestView } from './http/subjects.js'

export interface HonoLimitOptions<Name extends string> extends HttpLimitOptions<Name, Context> {
  /** The client's address, where Hono does not run on Node: `(c) => getConnInfo(c).remote.address`. */
  readonly address?: ((context: Context) => string | undefined) | undefined
}

/**
 * Limits the requests of a Hono app or route. On Node (`@hono/node-server`) the client's address is the peer's;
 * elsewhere `address` says it. A slot of a `concurrency` is held until the answer's body has been sent or given up.
 * @example app.use(rateLimit({ limiter, subject: byApiKey() }))
 */
export function rateLimit<Name extends string>(options: HonoLimitOptions<Name>): MiddlewareHandler {
  const gate = new AdmissionControl<Name, Context>(options)
  const { address = peerOnNode } = options
  return async (context, next) => {
    const view: RequestView = {
      header: (name) => context.req.header(name),
      get address() {
        return address(context)
      },
    }
    const admission = await gate.admit(context, view)
    if (admission === undefined) return next()
    if (!admission.allowed) {
      const { status, headers, body } = refusalOf(admission)
      return new Response(body, { status, headers })
    }
    const { headers, ended } = admission
    try {
      await next()
    } catch (error) {
      await ended?.(500, false)
      throw error
    }
    for (const [name, value] of Object.entries(headers)) context.res.headers.set(name, value)
    if (ended === undefined) return
    const { res } = context
    context.res = whenBodyEnds(res, (complete) => ended(res.status, !complete))
  }
}

/** What `@hono/node-server` puts there. */
function peerOnNode(context: Context): string | undefined {
  const { incoming } = (context.env ?? {}) as {
    readonly incoming?: { readonly socket?: { readonly remoteAddress?: string } }
  }
  return incoming?.socket?.remoteAddress
}

export type { HttpLimitOptions } from './http/admission.js'
export type { HeaderStyle } from './http/headers.js'
export {
  type ByIpOptions,
  byApiKey,
  byIp,
  firstOf,
  type RequestView,
  type SubjectOf,
} from './http/subjects.js'
