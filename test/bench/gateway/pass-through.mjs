// What people write: Hono, the global fetch, and the answer passed through.
import { serve } from '@hono/node-server'
import { Hono } from 'hono'

const { UPSTREAM, PORT } = process.env
const app = new Hono()
app.get('/health', (context) => context.json({ status: 'ok' }))
app.post('/v1/*', async (context) => {
  const answer = await fetch(`${UPSTREAM}${context.req.path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: context.req.header('authorization') ?? '',
    },
    body: await context.req.text(),
    signal: context.req.raw.signal,
  })
  const headers = { 'content-type': answer.headers.get('content-type') ?? 'application/json' }
  return new Response(answer.body, { status: answer.status, headers })
})
serve({ fetch: app.fetch, port: Number(PORT), hostname: '127.0.0.1' })
