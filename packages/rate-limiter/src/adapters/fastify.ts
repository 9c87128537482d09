import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify'
import { AdmissionControl, type HttpLimitOptions } from './http/admission.js'
import { appendTo } from './http/headers.js'
import { lifeOfNodeAnswer, refusalOf, viewOfNode } from './http/node.js'

export type FastifyLimitOptions<Name extends string> = HttpLimitOptions<Name, FastifyRequest>

/**
 * Limits the requests of the Fastify instance that registers it, and of all instances below. The client's address is
 * `request.ip`, which follows the server's `trustProxy` setting. `config: { rateLimit: false }` exempts a route. A
 * slot of a `concurrency` is held until the answer is sent or the client has disconnected. If the client disconnects
 * before its request is admitted, the handler is not called.
 * @example await app.register(rateLimit, { limiter })
 */
export const rateLimit: FastifyPluginCallback<FastifyLimitOptions<string>> = Object.assign(
  (app: FastifyInstance, options: FastifyLimitOptions<string>, done: () => void) => {
    const control = new AdmissionControl(options)
    app.addHook('onRequest', async (request, reply) => {
      const config = request.routeOptions.config as { readonly rateLimit?: unknown }
      if (config.rateLimit === false) return
      const life = lifeOfNodeAnswer(request.raw, reply.raw)
      const admission = await control.admit(request, viewOfNode(request.raw, request.ip), life)
      switch (admission.outcome) {
        case 'unlimited':
          return
        case 'abandoned':
          // The client has gone, so nobody reads an answer: Fastify stops here.
          return reply.hijack()
        case 'admitted':
          reply.headers(appendTo(getterOf(reply), admission.headers))
          return
        case 'refused': {
          const { status, headers, body } = refusalOf(admission)
          return reply
            .code(status)
            .headers(appendTo(getterOf(reply), headers))
            .send(body)
        }
      }
    })
    done()
  },
  // Fastify's own symbols: the hook applies to the instance that registers it, not to an inner one of the plugin.
  { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: '@evenkeel/rate-limiter' },
)

function getterOf(reply: FastifyReply): (name: string) => unknown {
  return (name) => reply.getHeader(name)
}

export * from './http/index.js'
