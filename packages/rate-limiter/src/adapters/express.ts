import type { NextFunction, Request, RequestHandler, Response } from 'express'
import { AdmissionControl, type HttpLimitOptions } from './http/admission.js'
import { appendTo } from './http/headers.js'
import { lifeOfNodeAnswer, refusalOf, viewOfNode } from './http/node.js'

export type ExpressLimitOptions<Name extends string> = HttpLimitOptions<Name, Request>

/**
 * Limits the requests of an Express app or route (Express 4 and 5). The client's address is `req.ip`, which follows
 * the app's `trust proxy` setting. A slot of a `concurrency` is held until the answer is sent or the client has
 * disconnected. If the client disconnects before its request is admitted, `next` is not called.
 * @example app.use(rateLimit({ limiter, subject: firstOf(byApiKey(), byIp()) }))
 */
export function rateLimit<Name extends string>(options: ExpressLimitOptions<Name>): RequestHandler {
  const control = new AdmissionControl(options)
  return (request: Request, response: Response, next: NextFunction) => {
    const life = lifeOfNodeAnswer(request, response)
    control.admit(request, viewOfNode(request, request.ip), life).then((admission) => {
      if (admission.outcome === 'unlimited') return next()
      if (admission.outcome === 'abandoned') return
      if (response.headersSent) {
        // Other code, such as a timeout, may have answered meanwhile.
        if (admission.outcome === 'admitted') next()
        return
      }
      const getHeader = (name: string) => response.getHeader(name)
      if (admission.outcome === 'admitted') {
        response.set(appendTo(getHeader, admission.headers))
        return next()
      }
      const { status, headers, body } = refusalOf(admission)
      response.status(status).set(appendTo(getHeader, headers)).end(body)
    }, next)
  }
}

export * from './http/index.js'
