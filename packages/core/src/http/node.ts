import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * Any fetch-style handler for Node's http and for Express (`app.use(toNodeHandler(handler))`). For handlers
 * without a request body.
 */
export function toNodeHandler(handler: (request: Request) => Promise<Response>) {
  return (
    request: IncomingMessage & { originalUrl?: string },
    response: ServerResponse,
    next?: (error: unknown) => void,
  ): void => {
    const url = new URL(request.originalUrl ?? request.url ?? '/', 'http://localhost')
    handler(new Request(url, { method: request.method ?? 'GET' }))
      .then(async (answer) => {
        response.writeHead(answer.status, Object.fromEntries(answer.headers))
        response.end(request.method === 'HEAD' ? undefined : Buffer.from(await answer.arrayBuffer()))
      })
      .catch((error: unknown) => {
        if (next !== undefined) return next(error)
        response.writeHead(500).end()
      })
  }
}
