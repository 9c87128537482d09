import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Admission } from './admission.js'
import { type ApiAnswer, type ApiRequest, answerApi } from './api.js'
import type { Gateway } from './gateway.js'
import { createOperatorApp, type OperatorAppOptions } from './operator-app.js'
import { overloaded, Problem } from './problems.js'

type Listener = (request: IncomingMessage, response: ServerResponse) => void

export interface GatewayServerOptions {
  /** Answers all paths outside of OpenAI's API, `/v1/`. @default the operators' routes */
  readonly otherRoutes?: Listener | undefined
}

/** Creates an HTTP server for a gateway; the caller makes it listen. */
export function createGatewayServer(gateway: Gateway, options: GatewayServerOptions = {}): Server {
  const otherRoutes = options.otherRoutes ?? operatorListener(gateway)
  const server = createServer((request, response) => {
    if (!request.url?.startsWith('/v1/')) return otherRoutes(request, response)
    if (admission?.admits() !== false) return void serveApi(gateway, request, response)
    response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '1' }).end(shed.body)
  })
  // Longer than clients and load balancers keep a connection, so that none sends a request as the server closes it.
  server.keepAliveTimeout = keepAliveMs
  const { maxWaitMs } = gateway.options
  const admission = maxWaitMs === undefined ? undefined : new Admission(server, maxWaitMs)
  return server
}

const shed = overloaded('The gateway is beyond its capacity; try again in a moment')

const keepAliveMs = 75_000

/**
 * How many connections may wait to be accepted. The kernel drops connections beyond that, by Node's default beyond 511,
 * and their callers wait for seconds. The kernel's own bound (net.core.somaxconn) applies as well.
 */
const backlog = 4_096

/** Makes the server listen, and resolves to its port. */
export function listen(server: Server, { port = 0, host = '127.0.0.1' } = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen({ port, host, backlog }, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

/** A server of the operators' routes alone, for a port that only operators reach. */
export function createOperatorServer(gateway: Gateway): Server {
  return createServer(operatorListener(gateway, { isPrivate: true }))
}

export function operatorListener(gateway: Gateway, options?: OperatorAppOptions): Listener {
  const listener = getRequestListener(createOperatorApp(gateway, options).fetch, {
    overrideGlobalObjects: false,
  })
  return (request, response) => void listener(request, response)
}

async function serveApi(gateway: Gateway, request: IncomingMessage, response: ServerResponse): Promise<void> {
  await aLook()
  // The caller left while its request waited, so nobody would read an answer.
  if (response.destroyed || request.socket.readableEnded) return void response.destroy()
  const gone = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) gone.abort(new Error('The caller left'))
  })
  const answer = await answerApi(gateway, apiRequestOf(request, gone.signal, gateway.options.maxBodyBytes))
  try {
    await send(answer, response)
  } catch {
    response.destroy()
  } finally {
    answer.sent()
  }
}

/** Resolves after Node has polled the sockets again, so that it knows whether the caller has left. */
function aLook(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
}

function apiRequestOf(request: IncomingMessage, signal: AbortSignal, maxBytes: number): ApiRequest {
  const { method = 'GET', url = '/', headers } = request
  const [path = '/'] = url.split('?', 1)
  return {
    method,
    path,
    signal,
    header(name) {
      const value = headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    text: () => readText(request, maxBytes),
  }
}

/** Reads the whole body as text. It refuses a body that is too long, and reads no further. */
function readText(request: IncomingMessage, maxBytes: number): Promise<string> {
  const tooLarge = () =>
    new Problem(413, `The request is larger than ${maxBytes} bytes`, {
      code: 'request_too_large',
      headers: { connection: 'close' },
    })
  return new Promise((resolve, reject) => {
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) return reject(tooLarge())
    const parts: Buffer[] = []
    let length = 0
    request.on('data', (part: Buffer) => {
      length += part.byteLength
      if (length > maxBytes) {
        request.pause()
        return reject(tooLarge())
      }
      parts.push(part)
    })
    request.once('end', () =>
      resolve((parts.length === 1 ? parts[0] : Buffer.concat(parts))?.toString() ?? ''),
    )
    request.once('error', reject)
    request.once('close', () => reject(new Error('The caller left')))
    if (request.destroyed) reject(new Error('The caller left'))
  })
}

async function send({ status, headers, body }: ApiAnswer, response: ServerResponse): Promise<void> {
  if (response.destroyed) {
    if (body instanceof ReadableStream) await body.cancel().catch(() => {})
    return
  }
  if (!(body instanceof ReadableStream)) {
    const length = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
    response.writeHead(status, { ...headers, 'content-length': length }).end(body)
    return
  }
  response.writeHead(status, { ...headers, 'cache-control': 'no-cache' })
  response.flushHeaders()
  await sendStream(body.getReader(), response)
}

/**
 * Sends a stream as fast as the caller reads it. A stream that breaks off ends with an error event, which OpenAI's
 * clients throw as an error. Without it they would take the cut stream for a complete one.
 */
async function sendStream(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  response: ServerResponse,
): Promise<void> {
  const left = () => void reader.cancel().catch(() => {})
  response.once('close', left)
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      if (response.destroyed) return
      if (!response.write(read.value)) await untilDrained(response)
    }
  } catch {
    const error = {
      message: 'The answer was cut short by its decoder',
      type: 'server_error',
      param: null,
      code: 'upstream_error',
    }
    if (!response.destroyed) response.write(`\n\ndata: ${JSON.stringify({ error })}\n\n`)
  } finally {
    response.off('close', left)
    response.end()
  }
}

function untilDrained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.once('drain', done)
    response.once('close', done)
  })
}
