import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { AdmissionControl, type HttpLimitOptions } from './http/admission.js'
import { refusalOf, viewOfNode, whenEnded } from './http/node.js'

export type ExpressLimitOptions<Name extends string> = HttpLimitOptions<Name, Request>

/**
 * Limits the requests of an Express app or route (4 and 5). The client's address is `req.ip`, which follows
 * the app's own `trust proxy` setting. A slot of a `concurrency` is held until the answer is out or the client
 * has gone.
 * @example app.use(rateLimit({ limiter, subject: firstOf(byApiKey(), byIp()) }))
 */
export function rateLimit<Name extends string>(options: ExpressLimitOptions<Name>): RequestHandler {
  const gate = new AdmissionControl(options)
  return (request: Request, response: Response, next: NextFunction) => {
    gate
      .admit(request, viewOfNode(request, request.ip))
      .then((admission) => {
        if (admission === undefined) return next()
        if (admission.allowed) {
          response.set(admission.headers)
          if (admission.ended !== undefined) whenEnded(response, admission.ended)
          return next()
        }
        const { status, headers, body } = refusalOf(admission)
        response.status(status).set(headers).end(body)
      })
      .catch(next)
  }
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
