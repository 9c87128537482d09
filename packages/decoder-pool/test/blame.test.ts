import type { ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import { until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { StreamEvents } from '../src/dispatch/stream-events.js'
import type { DecoderPool } from '../src/index.js'
import { PushBackError } from '../src/index.js'
import { type Answer, inFlight, useHttpNodes } from './http-nodes.js'

const { poolOf, after } = useHttpNodes()
const well: Answer = (request, response) => request.resume().on('end', () => response.end('well'))
const says =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(status, headers).end(String(status))

const statesOf = (pool: DecoderPool) => pool.status().nodes.map(({ state }) => state)
const requestsOf = (pool: DecoderPool) => pool.status().nodes.map(({ requests }) => requests)

async function times(count: number, ask: () => Promise<Response>): Promise<Record<number, number>> {
  const seen: Record<number, number> = {}
  for (let index = 0; index < count; index++) {
    const answer = await ask()
    await answer.text()
    seen[answer.status] = (seen[answer.status] ?? 0) + 1
  }
  return seen
}

describe('what could not be sent because of its caller', () => {
  it.each([
    [{ expect: '100-continue' }],
    [{ 'transfer-encoding': 'chunked' }],
    [{ connection: 'Upgrade, x-hop', upgrade: 'h2c', 'x-hop': '1' }],
    [{ connection: 'keep-alive', 'keep-alive': 'timeout=5' }],
    [{ te: 'trailers', 'content-length': '7' }],
    [{ host: 'elsewhere.example' }],
  ])('headers of another connection are left out: %j', async (headers) => {
    const seen: Record<string, unknown>[] = []
    const pool = await poolOf([
      (request, response) => {
        seen.push(request.headers)
        request.resume().on('end', () => response.end('well'))
      },
    ])
    const answer = await pool.fetch()('http://pool/', { method: 'POST', body: '{}', headers })
    expect(answer.status).toBe(200)
    expect(seen[0]).not.toHaveProperty('x-hop')
    expect(seen[0]).toMatchObject({ 'content-length': '2', host: expect.stringContaining('127.0.0.1') })
  })

  const broken = (code: string) =>
    new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) })
  it.each([
    ['an argument that no client takes', broken('UND_ERR_INVALID_ARG')],
    ['what no client can do', broken('UND_ERR_NOT_SUPPORTED')],
    ['a forbidden port', new TypeError('fetch failed', { cause: new Error('bad port') })],
    ['an URL that is none', broken('ERR_INVALID_URL')],
    ['a mistake of the host’s own code', new TypeError("Cannot read properties of undefined (reading 'x')")],
  ])('is no node’s fault: %s', async (_, error) => {
    const pool = await poolOf([well, well], { ejectAfter: 1 })
    for (let count = 0; count < 4; count++) {
      await expect(pool.run(async () => Promise.reject(error))).rejects.toBe(error)
    }
    expect(statesOf(pool)).toEqual(['serving', 'serving'])
  })
})

describe('what could not connect', () => {
  const deep = (error: Error, depth: number): Error =>
    depth === 0 ? error : new Error('Connection error.', { cause: deep(error, depth - 1) })
  const failed = (fields: object) => Object.assign(new Error('x'), fields)
  it.each([
    ['EHOSTUNREACH', failed({ code: 'EHOSTUNREACH' })],
    ['a time-out of the system', failed({ code: 'ETIMEDOUT', syscall: 'connect' })],
    ['a code that nobody knows', failed({ code: 'EWHATEVER', syscall: 'connect' })],
    ['a certificate', failed({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })],
    ['several addresses', new AggregateError([failed({ code: 'ECONNREFUSED' })], 'all failed')],
  ])('is tried elsewhere, however deep its cause: %s', async (_, error) => {
    const pool = await poolOf([well, well, well], { ejectAfter: 1_000 })
    for (const depth of [0, 1, 2, 5]) {
      let calls = 0
      const answer = await pool.run(async ({ id }) => {
        if (++calls < 3) throw deep(error, depth)
        return id
      })
      expect([answer.startsWith('n'), calls]).toEqual([true, 3])
    }
  })

  it('is always tried elsewhere, and needs no budget: half of the nodes are gone at the start', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => closed.once('listening', resolve))
    const { port } = closed.address() as { port: number }
    await new Promise((resolve) => closed.close(resolve))
    const gone = `http://127.0.0.1:${port}`
    const pool = await poolOf([gone, `${gone}/b`, well, well], { ejectAfter: 1_000 }, { capacity: 100 })
    const fetch = pool.fetch({ wanted: { attempts: 5 } })
    const burst = Array.from({ length: 30 }, () => fetch('http://pool/', { method: 'POST', body: '{}' }))
    expect((await Promise.all(burst)).map(({ status }) => status)).toEqual(Array(30).fill(200))
  })

  it('and what may have begun is not tried again', async () => {
    const cut = createServer((socket) => socket.once('data', () => socket.destroy())).listen(0, '127.0.0.1')
    await new Promise((resolve) => cut.once('listening', resolve))
    after(() => cut.close())
    const { port } = cut.address() as { port: number }
    const pool = await poolOf([`http://127.0.0.1:${port}`, `http://127.0.0.1:${port}/b`])
    await expect(pool.fetch()('http://pool/', { method: 'POST', body: '{}' })).rejects.toThrow('fetch failed')
    expect(requestsOf(pool).reduce((sum, one) => sum + one)).toBe(1)
  })
})

describe('a refusal for the moment', () => {
  it.each(['0', '-5', '-0.001', 'Thu, 01 Jan 1970 00:00:00 GMT', 'soon', ''])(
    'with the time "%s" is one for a moment, and another node is asked meanwhile',
    async (retryAfter) => {
      let calls = 0
      const full: Answer = (_, response) => {
        calls++
        response.writeHead(429, { 'retry-after': retryAfter }).end()
      }
      const pool = await poolOf([full, well])
      // The larger node always has the lower load, and so is chosen first.
      await pool.register({
        id: 'n0',
        endpoint: pool.status().nodes[0]?.node.endpoint ?? '',
        capacity: 1_000,
      })
      const fetch = pool.fetch()
      const answers = await Promise.all(Array.from({ length: 8 }, () => fetch('http://pool/')))
      expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200))
      expect(calls).toBeLessThanOrEqual(8)
    },
  )

  it('tells its time in milliseconds too', async () => {
    const pool = await poolOf([says(429, { 'retry-after-ms': '5000', 'retry-after': '1' })])
    await pool.fetch()('http://pool/')
    expect(pool.status().nodes[0]?.pushBackMs).toBeGreaterThan(3_000)
  })

  it('tells its time by a client’s error whose headers are a plain object, in whatever case', async () => {
    const pool = await poolOf([well])
    const busy = () =>
      Promise.reject(Object.assign(new Error('429'), { status: 429, headers: { 'Retry-After': '5' } }))
    await expect(pool.run(busy)).rejects.toThrow('429')
    expect(pool.status().nodes[0]?.pushBackMs).toBeGreaterThan(3_000)
  })

  it.each([0, -1, Number.NaN])('may be thrown with an odd time: %s', async (retryAfter) => {
    const pool = await poolOf([well])
    const busy = async () => Promise.reject(new PushBackError('busy', { retryAfter }))
    await expect(pool.run(busy)).rejects.toMatchObject({ code: 'PUSH_BACK', retryAfterMs: 100 })
    expect(pool.status().nodes[0]?.pushBackMs).toBeGreaterThan(0)
  })
})

describe('a node that alone refuses', () => {
  it.each([401, 403, 404, 302])('%i: its callers are served elsewhere, and it is ejected', async (status) => {
    const headers = status === 302 ? { location: 'http://login.example/' } : {}
    const pool = await poolOf([says(status, headers), well, well, well])
    const fetch = pool.fetch()
    // A quick refusal counts as load for as long as an answer usually takes, so the node is asked only now and then.
    await until(async () => {
      expect(await times(10, () => fetch('http://pool/'))).toEqual({ 200: 10 })
      return pool.status().nodes[0]?.ejected === true
    })
    expect(pool.status().nodes[0]).toMatchObject({ ejection: { reason: 'refusals' } })
  })

  it.each(['least-loaded', 'latency', 'prequal', 'prefix', 'random'] as const)(
    'draws no more than its share under %s, though it is always free',
    async (strategy) => {
      const slow: Answer = (_, response) => setTimeout(() => response.end('well'), 20)
      // No node is ejected and nothing is retried, so only the strategy decides.
      const pool = await poolOf([says(400), slow, slow, slow], { strategy, ejectAfter: 1_000 })
      const fetch = pool.fetch({ wanted: { attempts: 1 } })
      const callers = Array.from({ length: 12 }, () => times(12, () => fetch('http://pool/')))
      await Promise.all(callers)
      const [refusing = 0] = requestsOf(pool)
      expect(refusing / 144).toBeLessThan(0.5)
    },
  )

  it('is not one whose callers are refused everywhere', async () => {
    const pool = await poolOf([says(401), says(401), says(401)])
    const fetch = pool.fetch()
    expect(await times(60, () => fetch('http://pool/'))).toEqual({ 401: 60 })
    expect(statesOf(pool)).toEqual(['serving', 'serving', 'serving'])
  })

  it('is not one that has bad callers beside good ones, as all have', async () => {
    const judge: Answer = ({ headers }, response) =>
      response.writeHead(headers.authorization === 'good' ? 200 : 401).end()
    const pool = await poolOf([judge, judge, judge, judge])
    const fetch = pool.fetch()
    for (let count = 0; count < 200; count++) {
      const authorization = count % 3 === 0 ? 'bad' : 'good'
      await times(1, () => fetch('http://pool/', { headers: { authorization } }))
    }
    expect(statesOf(pool)).toEqual(Array(4).fill('serving'))
  })

  it('is taken back by a trial that it serves, and not by one that it refuses', async () => {
    let status = 401
    const pool = await poolOf([(_, response) => response.writeHead(status).end(), well], {
      outliers: { ejectFor: '50ms' },
    })
    const fetch = pool.fetch()
    const isOut = () => pool.status().nodes[0]?.ejected === true
    await until(async () => {
      await times(10, () => fetch('http://pool/'))
      return isOut()
    })
    status = 200
    await until(async () => {
      await times(1, () => fetch('http://pool/'))
      return !isOut()
    })
  })
})

describe('a node that hangs', () => {
  const hangs: Answer = () => {}
  const begins: Answer = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
  }
  const pings: Answer = (_, response) => {
    begins(_, response)
    const timer = setInterval(() => response.write(': ping\n\n'), 20)
    response.on('close', () => clearInterval(timer))
  }
  const tokens: Answer = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n')
    setTimeout(() => response.end('data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'), 5)
  }
  const stalls: Answer = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
  }
  const every20ms = (response: ServerResponse, event: string) => {
    const timer = setInterval(() => response.write(event), 20)
    response.on('close', () => clearInterval(timer))
  }
  const pingEvents: Answer = (_, response) => {
    begins(_, response)
    every20ms(response, 'event: ping\ndata: {}\n\n')
  }
  const pingsAfterToken: Answer = (_, response) => {
    stalls(_, response)
    every20ms(response, 'event: ping\ndata: {"type": "ping"}\n\n')
  }
  it.each([
    ['before its headers', hangs, 'abort'],
    ['after its headers', begins, 'abort'],
    ['after its headers, for a caller with a time-out', begins, 'timeout'],
    ['but for a word that it lives', pings, 'abort'],
    ['but for events that say that it lives', pingEvents, 'abort'],
    ['after its first token', stalls, 'abort'],
    ['after its first token, but for events that say that it lives', pingsAfterToken, 'abort'],
  ])(
    '%s is found, and the others serve on',
    async (_, hung, kind) => {
      const pool = await poolOf([hung, tokens, tokens])
      const fetch = pool.fetch()
      const ask = async () => {
        const stop = new AbortController()
        // Official clients signal their own timeouts like this, by an abort without a reason.
        const timer = setTimeout(() => stop.abort(), 400)
        const signal = kind === 'timeout' ? AbortSignal.timeout(400) : stop.signal
        try {
          return await (await fetch('http://pool/', { signal })).text()
        } catch {
          return undefined
        } finally {
          clearTimeout(timer)
        }
      }
      await until(async () => {
        await Promise.all(Array.from({ length: 4 }, ask))
        return pool.inspect('n0')?.ejected
      })
      expect(pool.status().nodes.map(({ ejected }) => ejected)).toEqual([true, false, false])
      expect(inFlight(pool)).toBe(0)
      await until(async () => (await ask())?.includes('[DONE]'), 20_000)
    },
    60_000,
  )

  it('is not one whose callers are impatient: they leave before an answer could be there', async () => {
    const slow: Answer = (_, response) => setTimeout(() => response.end('well'), 300)
    const pool = await poolOf([slow, slow, slow])
    const fetch = pool.fetch()
    await Promise.all(Array.from({ length: 6 }, () => times(1, () => fetch('http://pool/'))))
    for (let round = 0; round < 4; round++) {
      const leaving = Array.from({ length: 6 }, () => {
        const stop = new AbortController()
        setTimeout(() => stop.abort(), 120)
        return fetch('http://pool/', { signal: stop.signal }).catch(() => {})
      })
      await Promise.all(leaving)
    }
    expect(statesOf(pool)).toEqual(Array(3).fill('serving'))
  })

  it.each([
    ['whose lines come torn', (count: number) => `data: {"n":${count}}`, '\n\ndata'],
    ['whose tokens are plain text', (count: number) => `data: token ${count}\n\n`, ''],
  ])('is not one %s', (_, pieceOf, torn) => {
    const events = new StreamEvents()
    const bytes = new TextEncoder()
    events.see(bytes.encode('data: {"n":0}\n\n'), 0)
    for (let count = 1; count <= 5; count++) {
      const before = events.count
      const piece = pieceOf(count)
      // Each piece without its beginning, which came at the end of the piece before.
      const said = torn === '' || count === 1 ? piece : piece.slice('data'.length)
      events.see(bytes.encode(said + torn), 0)
      expect(events.count).toBe(before + 1)
    }
    expect(events.failure).toBeUndefined()
  })

  it('is not one whose caller reads slowly', async () => {
    const pool = await poolOf([tokens, tokens], { ejectAfter: 1 })
    const fetch = pool.fetch()
    await (await fetch('http://pool/')).text()
    for (let count = 0; count < 4; count++) {
      const stop = new AbortController()
      const answer = await fetch('http://pool/', { signal: stop.signal })
      const reader = answer.body?.getReader()
      await reader?.read()
      await reader?.read()
      await new Promise((resolve) => setTimeout(resolve, 200))
      stop.abort()
      await reader?.read().catch(() => {})
    }
    expect(statesOf(pool)).toEqual(['serving', 'serving'])
  })
})

describe('an error within a 200', () => {
  const stream =
    (...events: string[]): Answer =>
    (_: unknown, response: ServerResponse) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(events.map((event) => `${event}\n\n`).join(''))
    }
  const fine = stream('data: {"choices":[{"delta":{"content":"error"}}],"error":null}', 'data: [DONE]')
  it.each([
    ['vLLM, SGLang', 'data: {"error":{"message":"engine died","type":"InternalServerError","code":500}}'],
    ['older vLLM', 'data: {"object":"error","message":"engine died","code":500}'],
    ['TGI', 'data:{"error":"Request failed during generation","error_type":"generation"}'],
    ['llama.cpp', 'data: {"error":{"code":500,"message":"slot failed","type":"server_error"}}'],
    ['Anthropic', 'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}'],
    ['text', 'event: error\ndata: engine died'],
    ['no token at all', 'data: [DONE]'],
  ])('counts against its node: %s', async (_, event) => {
    const pool = await poolOf([stream(event), fine], { ejectAfter: 2 })
    const fetch = pool.fetch()
    await until(async () => {
      await (await fetch('http://pool/')).text()
      return pool.status().nodes[0]?.ejected
    })
    expect(pool.status().nodes[1]?.ejected).toBe(false)
  })

  it.each([
    'data: {"error":{"message":"too long","type":"BadRequestError","code":400}}',
    'data: {"error":{"message":"too long","type":"invalid_request_error"}}',
  ])('may be the caller’s: %s', async (event) => {
    const pool = await poolOf([stream(event), fine], { ejectAfter: 1 })
    const fetch = pool.fetch()
    for (let count = 0; count < 8; count++) await (await fetch('http://pool/')).text()
    expect(statesOf(pool)).toEqual(['serving', 'serving'])
  })

  it('may be a refusal for the moment', async () => {
    const event = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}'
    const pool = await poolOf([stream(event)])
    await (await pool.fetch()('http://pool/')).text()
    expect(pool.status().nodes[0]).toMatchObject({ ejected: false, state: 'serving' })
    expect(pool.status().nodes[0]?.pushBackMs).toBeGreaterThan(0)
  })
})

describe('latency', () => {
  it('is that of the first token, where there is one', async () => {
    const quickHeaders: Answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      setTimeout(() => response.end('data: {"text":"a"}\n\n'), 400)
    }
    const quickTokens: Answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"text":"a"}\n\n')
      setTimeout(() => response.end('data: {"text":"b"}\n\n'), 400)
    }
    const pool = await poolOf([quickHeaders, quickTokens], { strategy: 'latency' })
    const fetch = pool.fetch()
    for (let count = 0; count < 16; count++) await (await fetch('http://pool/')).text()
    const [headers = 0, first = 0] = requestsOf(pool)
    expect(first).toBeGreaterThan(headers)
  })
})
