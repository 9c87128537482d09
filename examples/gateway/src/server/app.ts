import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { type ApiAnswer, type ApiRequest, answerApi } from './api.js'
import type { Gateway } from './gateway.js'
import { createOperatorApp } from './operator-app.js'
import { Problem } from './problems.js'

/**
 * The gateway's routes as a fetch-style handler: to mount in a Hono app, or for a server that is not Node's.
 * `createGatewayServer` is the same at a third of the cost, since it makes no `Request` and no `Response`.
 */
export function createApp(gateway: Gateway): Hono {
  const { maxBodyBytes } = gateway.options
  const app = new Hono()
  const onError = () => {
    throw new Problem(413, `The request is larger than ${maxBodyBytes} bytes`, { code: 'request_too_large' })
  }
  app.use('/v1/*', bodyLimit({ maxSize: maxBodyBytes, onError }))
  app.all('/v1/*', async (context) => {
    const request = apiRequestOf(context)
    return responseOf(await answerApi(gateway, request), request.signal)
  })
  app.route('/', createOperatorApp(gateway))
  app.onError((error, context) => {
    if (!(error instanceof Problem)) throw error
    return context.body(error.body, error.status as 413, { 'content-type': 'application/json' })
  })
  return app
}

function apiRequestOf({ req }: Context): ApiRequest {
  return {
    method: req.method,
    path: req.path,
    signal: req.raw.signal,
    header: (name) => req.header(name),
    text: () => req.text(),
  }
}

function responseOf({ status, headers, body, sent }: ApiAnswer, signal: AbortSignal): Response {
  if (!(body instanceof ReadableStream)) {
    sent()
    return new Response(body as ConstructorParameters<typeof Response>[0], { status, headers })
  }
  signal.addEventListener('abort', sent)
  return new Response(body.pipeThrough(new TransformStream({ flush: sent })), { status, headers })
}
