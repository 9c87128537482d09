import { readFile } from 'node:fs/promises'
import { createOperatorApp } from '@evenkeel/example-gateway/server'
import { Hono } from 'hono'
import { csrf } from 'hono/csrf'
import { secureHeaders } from 'hono/secure-headers'
import { streamSSE } from 'hono/streaming'
import { act } from './actions.js'
import type { Observer } from './observer.js'
import type { Stage } from './stage.js'

/** How often the page gets a snapshot. */
const sendEveryMs = 200

const files = {
  '/': ['../../page/index.html', 'text/html; charset=utf-8'],
  '/style.css': ['../../page/style.css', 'text/css; charset=utf-8'],
  '/page.js': ['../page/page.js', 'text/javascript; charset=utf-8'],
} as const

/** The page, its live data and its actions. It lets anyone stop Redis, so serve it on loopback addresses only. */
export function createDashboardApp(stage: Stage, observer: Observer): Hono {
  const app = new Hono()
  // A page of another site can't call the actions.
  app.use(
    secureHeaders({ contentSecurityPolicy: { defaultSrc: ["'self'"], imgSrc: ["'self'", 'data:'] } }),
    csrf(),
  )
  for (const [path, [file, type]] of Object.entries(files)) {
    app.get(path, async (context) => {
      const text = await readFile(new URL(file, import.meta.url), 'utf8')
      return context.body(text, 200, { 'content-type': type })
    })
  }
  app.get('/live', (context) =>
    streamSSE(context, async (stream) => {
      while (!stream.aborted) {
        await stream.writeSSE({ data: JSON.stringify(observer.snapshot()) })
        await stream.sleep(sendEveryMs)
      }
    }),
  )
  app.post('/actions/:name/:decoder?', async (context) => {
    const { name, decoder } = context.req.param()
    try {
      await act(stage, observer, name, decoder)
      return context.json({ ok: true })
    } catch (error) {
      return context.json({ error: error instanceof Error ? error.message : String(error) }, 409)
    }
  })
  // The operators' routes, as at any gateway. They need no token, because only this machine reaches the port.
  app.route('/', createOperatorApp(stage.gateway, { isPrivate: true }))
  return app
}
