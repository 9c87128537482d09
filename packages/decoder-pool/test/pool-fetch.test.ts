import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createPoolFetch } from '../src/adapters/http.js'
import { promptBlocks } from '../src/index.js'
import { useCoordinators } from './pools.js'

const { create } = useCoordinators()
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function serve(
  answer: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A node that answers in pieces, each when the test asks for it. */
async function streaming() {
  const open: ServerResponse[] = []
  const endpoint = await serve((_, response) => {
    open.push(response.writeHead(200, { 'content-type': 'text/event-stream' }))
    response.write('data: 1\n\n')
  })
  return { endpoint, open }
}

describe('a fetch whose host is the pool', () => {
  const scene = async (...endpoints: string[]) => {
    const pool = await create({ ejectAfter: 1 })
    for (const endpoint of endpoints) await pool.register({ endpoint, capacity: 2 })
    const inFlight = () => pool.status().nodes.reduce((sum, node) => sum + node.inFlight, 0)
    return { pool, inFlight, fetch: createPoolFetch({ pool }) }
  }

  it.each([
    ['short', '{"error":'],
    ['long', 'x'.repeat(10_000)],
  ])('gives a 503 at once whose body, %s so far, never ends', async (_name, beginning) => {
    const endpoint = await serve((_, response) => {
      response.writeHead(503, { 'content-type': 'text/plain' }).write(beginning)
    })
    const { fetch } = await scene(endpoint)
    const response = await fetch('http://pool/v1/chat', { method: 'POST', body: '{}' })
    expect(response.status).toBe(503)
    const { value } = (await response.body?.getReader().read()) ?? {}
    expect(new TextDecoder().decode(value)).toContain(beginning.slice(0, 9))
  })

  it('keeps method, path, query, headers and body, and gives the answer as it is', async () => {
    const endpoint = await serve(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      const { method, url, headers } = request
      response.writeHead(201, { 'x-answer': 'yes', 'content-type': 'application/json' })
      response.end(JSON.stringify({ method, url, token: headers.authorization, body }))
    })
    const { fetch, inFlight } = await scene(`${endpoint}/base`)
    const response = await fetch('http://pool/v1/chat?x=1', {
      method: 'POST',
      body: '{"a":"ü"}',
      headers: { authorization: 'Bearer t' },
    })
    expect([response.status, response.headers.get('x-answer')]).toEqual([201, 'yes'])
    expect(response.url).toBe(`${endpoint}/base/v1/chat?x=1`)
    expect(await response.json()).toEqual({
      method: 'POST',
      url: '/base/v1/chat?x=1',
      token: 'Bearer t',
      body: '{"a":"ü"}',
    })
    expect(inFlight()).toBe(0)
  })

  it('keeps the place of a stream until it has been read', async () => {
    const { endpoint, open } = await streaming()
    const { fetch, inFlight } = await scene(endpoint)
    const response = await fetch('http://pool/')
    expect(inFlight()).toBe(1)
    open[0]?.end('data: 2\n\n')
    expect(await response.text()).toBe('data: 1\n\ndata: 2\n\n')
    expect(inFlight()).toBe(0)
  })

  it('does so, and asks elsewhere, where a server has put a Response of its own in the place of the global one', async () => {
    vi.stubGlobal('Response', class extends Response {})
    ends.push(() => vi.unstubAllGlobals())
    const { endpoint, open } = await streaming()
    const busy = await serve((_, response) => response.writeHead(429).end())
    const { fetch, inFlight } = await scene(busy, endpoint)
    for (const held of [1, 2]) {
      expect((await fetch('http://pool/')).status).toBe(200)
      expect(inFlight()).toBe(held)
    }
    for (const stream of open) stream.end()
  })

  it('gives it back when the caller cancels, aborts, or drops it, and blames nobody', async () => {
    const { endpoint, open } = await streaming()
    const { fetch, inFlight, pool } = await scene(endpoint)
    await (await fetch('http://pool/')).body?.cancel()
    expect(inFlight()).toBe(0)
    await until(() => open[0]?.destroyed)
    const stop = new AbortController()
    const aborted = await fetch('http://pool/', { signal: stop.signal })
    const reading = aborted.text()
    stop.abort()
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' })
    expect(inFlight()).toBe(0)
    expect(pool.status().nodes[0]?.ejected).toBe(false)
  })

  it('blames a node whose stream breaks off', async () => {
    const [one, other] = [await streaming(), await streaming()]
    const { fetch, inFlight, pool } = await scene(one.endpoint, other.endpoint)
    const response = await fetch('http://pool/')
    for (const stream of [...one.open, ...other.open]) stream.destroy()
    await expect(response.text()).rejects.toThrow()
    expect(inFlight()).toBe(0)
    expect(pool.status().nodes.filter(({ ejected }) => ejected)).toHaveLength(1)
  })

  it('asks another node where one refuses for the moment, with the body again', async () => {
    const bodies: string[] = []
    const node = (status: number) =>
      serve(async (request, response) => {
        let body = ''
        for await (const chunk of request) body += chunk
        bodies.push(`${status} ${body}`)
        response.writeHead(status).end(String(status))
      })
    const { fetch, inFlight } = await scene(await node(429), await node(200))
    for (let count = 0; count < 8; count++) {
      const response = await fetch('http://pool/', { method: 'POST', body: 'prompt' })
      expect(await response.text()).toBe('200')
    }
    expect(bodies).toContain('429 prompt')
    expect(inFlight()).toBe(0)
  })

  it('is told what each request wants, and says what nobody has', async () => {
    const seen: string[] = []
    const node = (name: string) =>
      serve((_, response) => {
        seen.push(name)
        response.end()
      })
    const pool = await create()
    await pool.register({ endpoint: await node('small'), model: 'small' })
    await pool.register({ endpoint: await node('large'), model: 'large' })
    const fetch = createPoolFetch({ pool, wanted: ({ body }) => ({ model: JSON.parse(body).model }) })
    for (const model of ['large', 'small', 'large']) {
      await fetch('http://pool/', { method: 'POST', body: JSON.stringify({ model }) })
    }
    expect(seen).toEqual(['large', 'small', 'large'])
    const unknown = { method: 'POST', body: '{"model":"none"}' }
    const answer = await fetch('http://pool/', unknown)
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([404, 'false'])
    expect(await answer.json()).toMatchObject({
      error: { code: 'model_not_found', message: expect.stringContaining("'none'") },
    })
    const throwing = pool.fetch({ wanted: { model: 'none' }, noNode: 'throw' })
    await expect(throwing('http://pool/', unknown)).rejects.toMatchObject({ code: 'NO_NODE' })
  })
})

describe('the blocks of a prompt', () => {
  it('are the same as far as two prompts are, and no further', () => {
    const long = 'x'.repeat(600)
    const one = promptBlocks(`${long}one${'y'.repeat(300)}`)
    const other = promptBlocks(`${long}other${'y'.repeat(300)}`)
    expect(one).toHaveLength(3)
    expect(other.slice(0, 2)).toEqual(one.slice(0, 2))
    expect(other[2]).not.toBe(one[2])
    // The hash of a block also depends on all blocks before it.
    expect(promptBlocks(`${'z'.repeat(256)}${long}`)[1]).not.toBe(one[1])
  })

  it('of messages go by role and content; a short prompt has none', () => {
    const messages = [{ role: 'user', content: 'hello '.repeat(100) }]
    expect(promptBlocks(messages)).toEqual(promptBlocks(structuredClone(messages)))
    expect(promptBlocks([{ ...messages[0], role: 'system' }])).not.toEqual(promptBlocks(messages))
    expect(promptBlocks('short')).toEqual([])
    expect(promptBlocks('short', { characters: 2 })).toHaveLength(2)
    expect(() => promptBlocks('x', { characters: 0 })).toThrow('characters')
  })
})
