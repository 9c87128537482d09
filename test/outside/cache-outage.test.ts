import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, type Project, project } from './harness/index.js'
import { answer, type StandInProvider, startProvider } from './stand-in-provider.js'

/** A service that streams an answer for each path. */
const service = `
  import { createServer } from 'node:http'
  import OpenAI from 'openai'
  import { connect } from '@evenkeel/core'
  import { createResponseCache } from '@evenkeel/llm-response-cache'
  const redis = await connect({ url: process.env.REDIS_URL })
  const cache = createResponseCache({ redis, l1Ttl: 0 })
  const cached = cache.fetch()
  let outcome: string | null = null
  const fetched: typeof fetch = async (input, init) => {
    const response = await cached(input, init)
    outcome = response.headers.get('x-evenkeel-cache')
    return response
  }
  const client = new OpenAI({ apiKey: 'k', baseURL: process.env.PROVIDER_URL + '/v1', maxRetries: 0, fetch: fetched })
  const server = createServer(async (request, response) => {
    try {
      const { pathname } = new URL(request.url ?? '', 'http://localhost')
      if (pathname === '/state') return void response.end(JSON.stringify({ state: cache.state, stored: cache.stats().stored }))
      const messages = [{ role: 'user' as const, content: pathname.slice(1) }]
      let text = ''
      for await (const chunk of await client.chat.completions.create({ model: 'm', messages, stream: true })) {
        text += chunk.choices[0]?.delta.content ?? ''
      }
      response.end(JSON.stringify({ text, outcome }))
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  })
  process.once('SIGTERM', async () => {
    server.close()
    server.closeIdleConnections()
    await cache.close()
    await redis.close()
  })
  server.listen(0, () => console.log('listening ' + (server.address() as { port: number }).port))`

describe('OpenAI’s SDK behind the cache, while Redis is killed and comes back', () => {
  let provider: StandInProvider
  let redis: RedisServer
  let app: Project

  beforeAll(async () => {
    provider = await startProvider()
    redis = await startRedis()
    app = await project('cache-outage', {
      packages: ['@evenkeel/llm-response-cache'],
      dependencies: { openai: '6.49.0', redis: '6.3.1' },
    })
  })
  afterAll(async () => {
    await provider[Symbol.asyncDispose]()
    await redis.close()
  })

  it.each(forms)(
    'every call is answered, and what was answered meanwhile is a hit afterwards, %s',
    async (form) => {
      const env = { PROVIDER_URL: provider.url, REDIS_URL: redis.url }
      await using one = await app.serve(service, { form, env, stderr: 'outages' })
      const json = async (path: string) => (await one.fetch(path)).json() as Promise<Record<string, unknown>>
      const until = (what: object) =>
        expect.poll(() => json('/state'), { timeout: 60_000 }).toMatchObject(what)
      const ask = (prompt: string) => json(`/${form}-${prompt}`)

      await until({ state: 'primary' })
      expect(await ask('before')).toEqual({ text: answer, outcome: 'miss' })
      await until({ stored: 1 })
      expect(await ask('before')).toEqual({ text: answer, outcome: 'hit' })

      // Redis is killed while the provider answers: the caller still gets the answer.
      const halfWay = ask('hold')
      await fetch(`${provider.url}/held`)
      await redis.kill()
      await fetch(`${provider.url}/release`, { method: 'POST' })
      expect(await halfWay).toEqual({ text: answer, outcome: 'miss' })
      expect(await ask('meanwhile')).toEqual({ text: answer, outcome: 'miss' })
      await until({ state: 'fallback' })
      expect(await ask('before')).toMatchObject({ text: answer, outcome: 'hit' })

      await redis.restart()
      await until({ state: 'primary' })
      expect((await ask('afterwards')).text).toBe(answer)
      await until({ stored: 4 })
      expect(await ask('afterwards')).toEqual({ text: answer, outcome: 'hit' })
      expect(provider.callsFor(`${form}-meanwhile`)).toBe(1)
      await one.stop()
    },
  )
})
