import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Context, MiddlewareHandler } from 'hono'
import { AdmissionControl, type HttpLimitOptions } from './http/admission.js'
import type { AnswerLife } from './http/answer-life.js'
import { appendTo } from './http/headers.js'
import { lifeOfNodeAnswer, refusalOf } from './http/node.js'
import type { RequestView } from './http/subjects.js'
import { endWithBody, lifeOfWebAnswer } from './http/web.js'

export interface HonoLimitOptions<Name extends string> extends HttpLimitOptions<Name, Context> {
  /** Reads the client's address if Hono does not run on Node: `(c) => getConnInfo(c).remote.address`. */
  readonly address?: ((context: Context) => string | undefined) | undefined
}

/** What `@hono/node-server` puts into the environment of a context. */
interface NodeBindings {
  readonly incoming?: IncomingMessage | undefined
  readonly outgoing?: ServerResponse | undefined
}

/**
 * Limits the requests of a Hono app or route. On Node (`@hono/node-server`), the client's address is the address of the
 * connected peer, and a slot of a `concurrency` is held until the answer is sent or the client has disconnected.
 * Elsewhere, `address` gives the client's address, and a slot is held until the answer's body has been read, cancelled
 * or dropped, or the request's signal aborts.
 * @example app.use(rateLimit({ limiter, subject: byApiKey() }))
 */
export function rateLimit<Name extends string>(options: HonoLimitOptions<Name>): MiddlewareHandler {
  const control = new AdmissionControl<Name, Context>(options)
  const { address = peerOnNode } = options
  return async (context, next) => {
    const { incoming, outgoing } = bindingsOf(context)
    const onNode = incoming !== undefined && outgoing !== undefined
    const life = onNode ? lifeOfNodeAnswer(incoming, outgoing) : lifeOfWebAnswer(context.req.raw)
    const view: RequestView = {
      header: (name) => context.req.header(name),
      get address() {
        return address(context)
      },
    }
    const admission = await control.admit(context, view, life)
    if (admission.outcome === 'unlimited') return next()
    // Nobody reads this answer. 499 is what proxies log for a client that has left.
    if (admission.outcome === 'abandoned') return new Response(null, { status: 499 })
    if (admission.outcome === 'refused') {
      const { status, headers, body } = refusalOf(admission)
      return new Response(body, { status, headers })
    }
    await goOn(context, next, life, admission.headers)
    if (!onNode) context.res = endWithBody(context.req.raw, context.res, life)
    return
  }
}

async function goOn(
  context: Context,
  next: () => Promise<void>,
  life: AnswerLife,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  try {
    await next()
  } catch (error) {
    life.end({ status: 500, aborted: false })
    throw error
  }
  const { res } = context
  for (const [name, value] of Object.entries(appendTo((name) => res.headers.get(name), headers)))
    res.headers.set(name, value)
}

function bindingsOf(context: Context): NodeBindings {
  return (context.env ?? {}) as NodeBindings
}

function peerOnNode(context: Context): string | undefined {
  return bindingsOf(context).incoming?.socket?.remoteAddress
}

export * from './http/index.js'
