import { startRedis, until } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { forms, libraries, project } from '../harness/index.js'

const script = `
  import express from 'express'
  import session from 'express-session'
  import { connect } from '@evenkeel/core'
  import { createSessions } from '@evenkeel/agent-memory/sessions'
  import { createSessionStore } from '@evenkeel/agent-memory/express-session'

  const redis = await connect()
  const sessions = createSessions({ redis })
  const app = express()
  app.get('/state', (_request, response) => { response.json({ redis: redis.state }) })
  app.use(session({ store: createSessionStore(sessions), secret: 's', resave: false, saveUninitialized: false }))
  app.get('/say', (request, response) => {
    request.session.said = [...(request.session.said ?? []), request.query.text]
    request.session.at = new Date(1_700_000_000_000)
    response.json(request.session.said)
  })
  app.get('/said', (request, response) => {
    response.json({ said: request.session.said ?? [], isDate: request.session.at instanceof Date })
  })
  app.get('/logout', (request, response) => request.session.destroy(() => response.json({})))
  const server = app.listen(0, () => console.log('listening ' + server.address().port))
  process.once('SIGTERM', () => {
    server.close(async () => {
      await sessions.close()
      await redis.close()
    })
    server.closeAllConnections()
  })`

it.each(forms)(
  'sessions of express-session are kept while Redis is away, and end when they are ended, %s',
  async (form) => {
    const dependencies = { express: '5.3.0', 'express-session': '1.19.0', redis: libraries.redis6 }
    const app = await project('memory-express', { packages: ['@evenkeel/agent-memory'], dependencies })
    await using redis = await startRedis({ args: { appendonly: 'yes', appendfsync: 'always' } })
    const settings = { form, env: { REDIS_URL: redis.url }, stderr: 'outages' } as const
    await using one = await app.serve(script, settings)
    const first = await one.fetch('/say?text=one')
    const [cookie = ''] = (first.headers.get('set-cookie') ?? '').split(';')
    const get = async (service: typeof one, path: string) => {
      const response = await service.fetch(path, { headers: { cookie } })
      return (await response.json()) as unknown
    }
    expect(await get(one, '/say?text=two')).toEqual(['one', 'two'])
    await redis.kill()
    expect(await get(one, '/say?text=three')).toEqual(['one', 'two', 'three'])
    await until(async () => ((await get(one, '/state')) as { redis: string }).redis === 'down', 30_000)
    expect(await get(one, '/say?text=four')).toEqual(['one', 'two', 'three', 'four'])
    await redis.restart()
    await until(async () => ((await get(one, '/state')) as { redis: string }).redis === 'up', 30_000)

    await using other = await app.serve(script, settings)
    await expect
      .poll(() => get(other, '/said'), { timeout: 30_000 })
      .toEqual({ said: ['one', 'two', 'three', 'four'], isDate: true })
    await get(other, '/logout')
    expect(await get(one, '/said')).toEqual({ said: [], isDate: false })
    await one.stop()
    await other.stop()
  },
)
