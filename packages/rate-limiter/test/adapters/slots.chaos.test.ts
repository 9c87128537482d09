import { connect as connectSocket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrency, createRateLimiter, type RateLimiter } from '../../src/index.js'
import { frameworks } from './servers.js'

/** What a client does before it leaves. */
interface Visit {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly path: '/' | '/late' | '/slow' | '/broken' | '/missing'
  /** Requests that it sends at once on its connection. */
  readonly pipelined: number
  /** Milliseconds after which it disconnects, answered or not; `undefined` if it waits for its answers. */
  readonly leavesAfterMs: number | undefined
  /** Whether it disconnects in the middle of its request. */
  readonly sendsHalf: boolean
}

const visits: fc.Arbitrary<Visit> = fc.record({
  method: fc.constantFrom('GET', 'GET', 'HEAD', 'POST'),
  path: fc.constantFrom('/', '/late', '/slow', '/broken', '/missing'),
  pipelined: fc.constantFrom(1, 1, 1, 3),
  leavesAfterMs: fc.oneof(fc.constant(undefined), fc.constant(0), fc.nat(8)),
  sendsHalf: fc.boolean().map((half) => half),
})

const requests = 5_000
const clientsAtOnce = 40

function visit(port: number, { method, path, pipelined, leavesAfterMs, sendsHalf }: Visit): Promise<void> {
  return new Promise((done) => {
    const socket = connectSocket(port, '127.0.0.1')
    const last = leavesAfterMs === undefined ? 'connection: close\r\n' : ''
    const request = `${method} ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n${last}\r\n`
    socket.on('connect', () => {
      const count = leavesAfterMs === undefined ? 1 : pipelined
      socket.write(
        request.repeat(count) + (sendsHalf && leavesAfterMs !== undefined ? 'GET / HT' : ''),
        () => {
          if (leavesAfterMs === 0) setImmediate(() => socket.destroy())
          else if (leavesAfterMs !== undefined) setTimeout(() => socket.destroy(), leavesAfterMs)
        },
      )
    })
    socket.on('data', () => {})
    socket.on('error', () => {})
    socket.on('close', () => done())
    // A server that closes no connection must not hold up the test.
    setTimeout(() => socket.destroy(), 2_000).unref()
  })
}

async function heldSlots(limiter: RateLimiter<'parallel'>): Promise<number> {
  return (await limiter.inspect('u')).limits.parallel.used
}

describe('slots, whatever clients do', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  it.each(frameworks)('all come back in $name', { timeout: 180_000 }, async (framework) => {
    await using redis = await connect({ url: server.url, commandTimeout: '5s' })
    // The lease does not end within the test, so no slot is released by expiry.
    const limits = { parallel: concurrency(60, { lease: '1h' }) }
    await using limiter = createRateLimiter({ redis, name: framework.name.replace(/\W/g, '-'), limits })
    const ticking = (async () => sleep(3))()
    const app = await framework.serve({ limiter, subject: () => 'u' }, ticking)
    const port = Number(new URL(app.url).port)
    const plan = fc.sample(visits, { numRuns: requests, seed: 20_261_126 })
    let next = 0
    await Promise.all(
      Array.from({ length: clientsAtOnce }, async () => {
        for (let own = plan[next++]; own !== undefined; own = plan[next++]) await visit(port, own)
      }),
    )
    await expect.poll(() => heldSlots(limiter)).toBe(0)
    const { allowed } = limiter.stats()
    // Some requests were refused, and some clients left before admission, but many requests held a slot for a while.
    expect(allowed).toBeGreaterThan(requests / 4)
    await app.close()
  })
})
