import type { FastifyInstance, FastifyPluginCallback, FastifyRequest } from 'fastify'
import { AdmissionControl, type HttpLimitOptions } from './http/admission.js'
import { refusalOf, viewOfNode, whenEnded } from './http/node.js'

export type FastifyLimitOptions<Name extends string> = HttpLimitOptions<Name, FastifyRequest>

/**
 * Limits the requests of the Fastify instance that it is registered with, and of all below it. The client's
 * address is `request.ip`, which follows the server's own `trustProxy`. `config: { rateLimit: false }` lets a
 * route go unlimited. A slot of a `concurrency` is held until the answer is out or the client has gone.
 * @example await app.register(rateLimit, { limiter })
 */
export const rateLimit: FastifyPluginCallback<FastifyLimitOptions<string>> = Object.assign(
  (app: FastifyInstance, options: FastifyLimitOptions<string>, done: () => void) => {
    const gate = new AdmissionControl(options)
    app.addHook('onRequest', async (request, reply) => {
      const config = request.routeOptions.config as { readonly rateLimit?: unknown }
      if (config.rateLimit === false) return
      const admission = await gate.admit(request, viewOfNode(request.raw, request.ip))
      if (admission === undefined) return
      if (admission.allowed) {
        reply.headers(admission.headers)
        if (admission.ended !== undefined) whenEnded(reply.raw, admission.ended)
        return
      }
      const { status, headers, body } = refusalOf(admission)
      return reply.code(status).headers(headers).send(body)
    })
    done()
  },
  // Fastify's own marks: the hook is for the instance that registers it, not for an inner one of the plugin.
  { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: '@evenkeel/rate-limiter' },
)

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
