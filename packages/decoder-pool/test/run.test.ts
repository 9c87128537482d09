import { ManualClock } from '@evenkeel/core'
import { until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { PushBackError } from '../src/index.js'
import { node, useCoordinators } from './pools.js'

const { create } = useCoordinators()

async function poolOf(count: number) {
  const pool = await create({ ejectAfter: 1_000 })
  for (let index = 0; index < count; index++) await pool.register(node(`n${index}`, { capacity: 100 }))
  return pool
}

const refused = () =>
  Object.assign(new TypeError('fetch failed'), {
    cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }),
  })

describe('run', () => {
  it('calls a node, gives its answer and its place back', async () => {
    const pool = await poolOf(1)
    expect(await pool.run(async (one, signal) => `${one.id} ${signal.aborted}`)).toBe('n0 false')
    expect(pool.status().nodes[0]).toMatchObject({ inFlight: 0, requests: 1 })
  })

  it('tells who listens which node a request was given, and how it ended there', async () => {
    const pool = await poolOf(2)
    const told: string[] = []
    pool.on('given', ({ node: { id } }) => told.push(`given ${id}`))
    pool.on('ended', ({ node: { id }, ok, error }) => told.push(`ended ${id} ${ok} ${error}`))
    let first = ''
    const answer = await pool.run(
      async ({ id }) => {
        if (first === '') {
          first = id
          throw new Error('reset')
        }
        return id
      },
      { idempotent: true },
    )
    expect(told).toEqual([
      `given ${first}`,
      `ended ${first} false Error: reset`,
      `given ${answer}`,
      `ended ${answer} true undefined`,
    ])
  })

  it('tries what was certainly not begun on other nodes', async () => {
    const pool = await poolOf(3)
    const tried: string[] = []
    const answer = await pool.run(async ({ id }) => {
      tried.push(id)
      if (tried.length < 3) throw tried.length === 1 ? refused() : new PushBackError('busy')
      return 'done'
    })
    expect(answer).toBe('done')
    expect(new Set(tried).size).toBe(3)
  })

  it('asks a node again that refused for a moment, where no other one has room', async () => {
    const pool = await poolOf(1)
    let calls = 0
    const answer = await pool.run(
      async () => {
        if (++calls === 1) throw new PushBackError('full', { retryAfter: 30 })
        return 'done'
      },
      { timeout: '10s' },
    )
    expect([answer, calls]).toEqual(['done', 2])
  })

  it('never repeats what may have happened, unless it may', async () => {
    const pool = await poolOf(3)
    let calls = 0
    const broken = async () => {
      calls++
      throw new Error('reset')
    }
    await expect(pool.run(broken)).rejects.toThrow('reset')
    expect(calls).toBe(1)
    await expect(pool.run(broken, { idempotent: true })).rejects.toThrow('reset')
    expect(calls).toBe(4)
  })

  it('has a budget: a pool that fails is not given a multiple of its load', async () => {
    const pool = await poolOf(3)
    let calls = 0
    const broken = async () => {
      calls++
      throw new Error('down')
    }
    for (let request = 0; request < 100; request++) {
      await expect(pool.run(broken, { idempotent: true })).rejects.toThrow('down')
    }
    // A hundred calls, a fifth of that as retries, and the few retries that the budget begins with.
    expect(calls).toBeGreaterThanOrEqual(118)
    expect(calls).toBeLessThanOrEqual(124)
  })

  it('asks a second node when the first is late, and takes the first answer', async () => {
    const pool = await poolOf(2)
    const calls: string[] = []
    const answer = await pool.run(
      async ({ id }) => {
        calls.push(id)
        // The first node never answers, so the answer is the second node's.
        if (calls.length === 1) await new Promise(() => {})
        return id
      },
      { idempotent: true, hedgeAfter: 20 },
    )
    expect(answer).toBe(calls[1])
    expect(calls[0]).not.toBe(calls[1])
    await expect(pool.run(async () => 1, { hedgeAfter: 20 })).rejects.toMatchObject({ field: 'hedgeAfter' })
  })

  it('aborts who is not the first to answer, and takes out a node that hangs though others answer for it', async () => {
    // Nodes are used in turn: other strategies avoid a node that has failed once, so it would not be ejected.
    const pool = await create({ strategy: 'weighted-round-robin', ejectAfter: 2, slowStart: 0 })
    for (const name of ['hangs', 'good']) await pool.register(node(name, { capacity: 1 }))
    const call = (one: { id: string }, signal: AbortSignal) =>
      one.id === 'good'
        ? Promise.resolve(one.id)
        : new Promise<string>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    const ask = () => pool.run(call, { idempotent: true, hedgeAfter: 200, timeout: '30s' })
    for (let count = 0; count < 200 && pool.inspect('hangs')?.ejected === false; count++) {
      expect(await ask()).toBe('good')
      // The only slot of the node that hangs is free again.
      await until(() => pool.stats().inFlight === 0, 5_000)
    }
    expect(pool.inspect('hangs')?.state).toBe('ejected')
    expect(pool.inspect('good')?.state).toBe('serving')
  })

  it('counts a node’s faults against it, and neither aborts nor refusals for the moment', async () => {
    const pool = await create({ ejectAfter: 1 })
    for (const name of ['a', 'b']) await pool.register(node(name))
    const ejected = () => pool.status().nodes.filter((one) => one.ejected).length
    const abort = new AbortController()
    const aborted = pool.run(
      (_, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      { signal: abort.signal },
    )
    abort.abort()
    await expect(aborted).rejects.toThrow()
    await expect(
      pool.run(async () => Promise.reject(new PushBackError('busy')), { attempts: 1 }),
    ).rejects.toThrow('busy')
    expect(ejected()).toBe(0)
    await expect(pool.run(async () => Promise.reject(new Error('500')))).rejects.toThrow('500')
    expect(ejected()).toBe(1)
  })
})

describe('run, and what HTTP answers', () => {
  const answers = async (first: () => Promise<Response>, options = {}, count = 3) => {
    const pool = await poolOf(count)
    const tried: string[] = []
    const call = async ({ id }: { id: string }) => {
      tried.push(id)
      return tried.length === 1 ? first() : new Response('fine')
    }
    const answer = await pool.run(call, options)
    return { pool, tried, answer }
  }
  const response = (status: number, headers = {}) => {
    return async () => new Response(`${status}`, { status, headers })
  }

  it.each([
    [429, {}],
    [503, { 'retry-after': '7' }],
  ])(
    'asks another node after a refusal, and leaves the first alone for a while: %i',
    async (status, headers) => {
      const { pool, tried, answer } = await answers(response(status, headers))
      expect(await answer.text()).toBe('fine')
      expect(new Set(tried).size).toBe(2)
      const refusing = pool.status().nodes.find(({ node }) => node.id === tried[0])
      expect(refusing).toMatchObject({ ejected: false, state: 'serving' })
      expect(refusing?.pushBackMs).toBeGreaterThan(status === 503 ? 6_000 : 0)
      for (let count = 0; count < 30; count++) expect(pool.pick()?.id).not.toBe(tried[0])
    },
  )

  it('gives a refusal of the last node to the caller, to be read', async () => {
    const { answer, pool } = await answers(response(429, { 'retry-after': '2' }), {}, 1)
    expect([answer.status, await answer.text()]).toEqual([429, '429'])
    expect(pool.pick()).toBeUndefined()
    await expect(pool.acquire()).rejects.toMatchObject({ reason: 'no-capacity' })
  })

  it('repeats 5xx only where the request may be made twice', async () => {
    expect((await answers(response(500))).answer.status).toBe(500)
    const { tried, answer } = await answers(response(500), { idempotent: true })
    expect([answer.status, tried.length]).toEqual([200, 2])
  })

  it('waits for a node that refused, no longer than it asked for', async () => {
    const pool = await poolOf(1)
    await expect(
      pool.run(async () => Promise.reject(new PushBackError('busy', { retryAfter: 60 })), { attempts: 1 }),
    ).rejects.toThrow('busy')
    await expect(pool.acquire()).rejects.toMatchObject({ reason: 'no-capacity' })
    expect((await pool.acquire({ timeout: 2_000 })).node.id).toBe('n0')
  })

  it('takes no quick refusal and no bad request for a quick answer', async () => {
    let draw = 0
    // Both nodes are drawn first equally often.
    const random = () => (draw++ % 8) / 8
    // No time passes, because latencies fade with time.
    const pool = await create({ strategy: 'latency', ejectAfter: 1_000, random, clock: new ManualClock() })
    for (const name of ['refuses', 'serves']) await pool.register(node(name, { capacity: 1_000 }))
    const counts = new Map<string, number>()
    for (let request = 0; request < 40; request++) {
      const lease = await pool.acquire()
      counts.set(lease.node.id, (counts.get(lease.node.id) ?? 0) + 1)
      if (lease.node.id === 'serves') lease.release({ ok: true, latencyMs: 20 })
      else lease.release({ ok: true, latencyMs: 1, error: new Error('400') })
    }
    // A node without a measured latency gets its share like any other node, and no more.
    expect(counts.get('serves')).toBeGreaterThan(10)
  })

  const status = (code: number, more = {}) => Object.assign(new Error(`${code}`), { status: code, ...more })
  it.each([
    ['a refused connection', refused(), true],
    ['a cut stream', Object.assign(new Error('terminated'), { code: 'UND_ERR_SOCKET' }), true],
    ['a timeout', Object.assign(new Error('slow'), { name: 'TimeoutError' }), true],
    ['500 of a client of HTTP', status(500), true],
    ['503 in a response', Object.assign(new Error('x'), { response: { status: 503 } }), true],
    ['400', status(400), false],
    ['404 as statusCode', Object.assign(new Error('x'), { statusCode: 404 }), false],
    ['429', status(429), false],
    ['503 with Retry-After', status(503, { headers: { 'retry-after': '1' } }), false],
    ['an abort', Object.assign(new Error('x'), { name: 'AbortError' }), false],
  ])('tells whose fault it is: %s', async (_, error, isFault) => {
    const pool = await create({ ejectAfter: 1 })
    for (const name of ['a', 'b']) await pool.register(node(name))
    await expect(pool.run(async () => Promise.reject(error), { attempts: 1 })).rejects.toBe(error)
    expect(pool.status().nodes.filter((one) => one.ejected)).toHaveLength(isFault ? 1 : 0)
  })

  it('blames a node that hangs, though only the caller’s time is up, and none that had little of it', async () => {
    const clock = new ManualClock()
    const pool = await create({ ejectAfter: 1, clock })
    for (const name of ['a', 'b']) await pool.register(node(name, { capacity: 1 }))
    /** The caller's time is over when the node has had this part of it. */
    const hangs = (partMs: number) => {
      const caller = new AbortController()
      const hang = async (_: unknown, signal: AbortSignal) => {
        clock.advance(partMs)
        caller.abort(new DOMException('too long', 'TimeoutError'))
        throw signal.reason
      }
      const run = pool.run(hang, { signal: caller.signal, timeout: 1_000 })
      return expect(run).rejects.toMatchObject({ name: 'TimeoutError' })
    }
    await hangs(30)
    expect(pool.status().nodes.filter((one) => one.ejected)).toHaveLength(1)
    // The slot of the other node is held for most of the next caller's time.
    const kept = await pool.acquire()
    const next = hangs(50)
    clock.advance(150)
    kept.release({ ok: true })
    await next
    expect(pool.status().nodes.filter((one) => one.ejected)).toHaveLength(1)
    expect(kept.node.id).toBe(pool.status().nodes.find((one) => !one.ejected)?.node.id)
  })
})
