import { createServer, request as nodeRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { serve } from '@hono/node-server'
import express from 'express'
import express4 from 'express4'
import fastify from 'fastify'
import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import * as forExpress from '../../src/adapters/express.js'
import * as forFastify from '../../src/adapters/fastify.js'
import * as forHono from '../../src/adapters/hono.js'
import type { HttpLimitOptions } from '../../src/adapters/http/admission.js'
import * as forNode from '../../src/adapters/node.js'
import * as forWeb from '../../src/adapters/web.js'

export interface TestApp {
  readonly url: string
  close(): Promise<void>
}

/** Options that mean the same in every framework. */
export type CommonOptions = Omit<HttpLimitOptions<string, unknown>, 'skip' | 'costs' | 'settle'> & {
  readonly settle?: () => Record<string, number> | undefined
}

export interface Framework {
  readonly name: string
  /**
   * Serves `GET /` at once, `GET /slow` when `release` resolves, `GET /late` after a few milliseconds, and
   * `GET /broken`, which throws.
   */
  serve(options: CommonOptions, release: Promise<void>): Promise<TestApp>
}

function listen(server: Server): Promise<TestApp> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      resolve({
        url: `http://127.0.0.1:${port}`,
        close: () =>
          new Promise((done) => {
            server.closeAllConnections()
            server.close(() => done())
          }),
      })
    })
  })
}

function expressApp(create: typeof express) {
  return (options: CommonOptions, release: Promise<void>) => {
    const app = create()
    app.use(forExpress.rateLimit(options as forExpress.ExpressLimitOptions<string>))
    app.get('/', (_, response) => void response.send('hello'))
    app.get('/slow', (_, response) => {
      response.write('first ')
      void release.then(() => response.end('last'))
    })
    app.get('/late', (_, response) => void setTimeout(() => response.send('late'), 4))
    app.get('/broken', () => {
      throw new Error('broken')
    })
    app.use(
      ((_error, _request, response, _next) =>
        void response.status(500).send('broken')) as express.ErrorRequestHandler,
    )
    return listen(createServer(app))
  }
}

export const frameworks: readonly Framework[] = [
  { name: 'Express 5', serve: expressApp(express) },
  { name: 'Express 4', serve: expressApp(express4 as unknown as typeof express) },
  {
    name: 'Fastify',
    async serve(options, release) {
      const app = fastify({ forceCloseConnections: true })
      await app.register(forFastify.rateLimit, options as forFastify.FastifyLimitOptions<string>)
      app.get('/', async () => 'hello')
      app.get('/slow', (_, reply) => {
        reply.hijack()
        reply.raw.write('first ')
        void release.then(() => reply.raw.end('last'))
      })
      app.get('/late', async () => {
        await sleep(4)
        return 'late'
      })
      app.get('/broken', async () => {
        throw new Error('broken')
      })
      app.get('/free', { config: { rateLimit: false } as object }, async () => 'free')
      return { url: await app.listen({ port: 0, host: '127.0.0.1' }), close: () => app.close() }
    },
  },
  {
    name: 'Hono',
    async serve(options, release) {
      const app = new Hono()
      app.use(forHono.rateLimit(options as forHono.HonoLimitOptions<string>))
      app.get('/', (context) => context.text('hello'))
      app.get('/slow', (context) =>
        stream(context, async (out) => {
          await out.write('first ')
          await release
          await out.write('last')
        }),
      )
      app.get('/late', async (context) => {
        await sleep(4)
        return context.text('late')
      })
      app.get('/broken', () => {
        throw new Error('broken')
      })
      app.onError((_, context) => context.text('broken', 500))
      return serveFetch(app.fetch)
    },
  },
  {
    name: 'node:http',
    async serve(options, release) {
      const limit = forNode.rateLimit(options as forNode.NodeLimitOptions<string>)
      return listen(
        createServer((request, response) => {
          const answer = async () => {
            if (!(await limit(request, response))) return
            if (request.url === '/broken') throw new Error('broken')
            if (request.url === '/late') await sleep(4)
            if (request.url === '/slow') {
              response.write('first ')
              await release
              response.end('last')
            } else response.end('hello')
          }
          answer().catch(() => response.writeHead(500).end('broken'))
        }),
      )
    },
  },
  {
    name: 'a handler from a Request to a Response',
    async serve(options, release) {
      const limited = forWeb.rateLimit({
        ...(options as forWeb.WebLimitOptions<string, readonly unknown[]>),
        address: () => '127.0.0.1',
      })
      const handler = limited(async (request: Request) => {
        const { pathname } = new URL(request.url)
        if (pathname === '/broken') throw new Error('broken')
        if (pathname === '/late') await sleep(4)
        if (pathname !== '/slow') return new Response(request.method === 'HEAD' ? null : 'hello')
        return new Response(
          new ReadableStream({
            async start(controller) {
              controller.enqueue(new TextEncoder().encode('first '))
              await release
              controller.enqueue(new TextEncoder().encode('last'))
              controller.close()
            },
          }),
        )
      })
      return serveFetch((request) => handler(request).catch(() => new Response('broken', { status: 500 })))
    },
  },
]

function serveFetch(fetch: (request: Request) => Response | Promise<Response>): Promise<TestApp> {
  return new Promise((resolve) => {
    const server = serve({ fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
      resolve({
        url: `http://127.0.0.1:${port}`,
        close: () =>
          new Promise((done) => {
            ;(server as Server).closeAllConnections()
            server.close(() => done())
          }),
      })
    })
  })
}

/** Sends a request, waits for the first bytes of its answer, and hangs up. */
export function hangUp(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = nodeRequest(url, (response) => {
      response.once('data', () => {
        request.destroy()
        resolve()
      })
      response.on('error', () => {})
    })
    request.on('error', reject)
    request.end()
  })
}
