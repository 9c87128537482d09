import { type AddressInfo, connect as connectTo, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Breaker, loadBreaker } from '../src/guard/breaker.js'
import { DeadlineQueue, type List, type Timed } from '../src/guard/deadline-queue.js'
import { meaningOf, unavailabilityTable, wasNotSent } from '../src/guard/error-meaning.js'

class Item implements Timed {
  dueAt = 0
  previous: Timed | undefined
  next: Timed | undefined
  list: List | undefined
  constructor(readonly name: string) {}
}

describe('the deadline queue', () => {
  it('expires what is due, in order, and nothing that was settled', async () => {
    const expired: string[] = []
    const queue = new DeadlineQueue<Item>((item) => expired.push(item.name))
    const now = performance.now()
    const items = ['a', 'b', 'c', 'd'].map((name) => new Item(name))
    for (const item of items) queue.add(item, 20, now)
    queue.add(new Item('sooner'), 10, now)
    queue.add(new Item('later'), 10_000, now)
    const [a, , c] = items
    if (a) queue.remove(a)
    if (c) queue.remove(c)
    // Each duration has its own list; after a pause of the machine, two lists are due at once.
    await expect.poll(() => [...expired].sort()).toEqual(['b', 'd', 'sooner'])
    expect(expired.indexOf('b')).toBeLessThan(expired.indexOf('d'))
    queue.close()
  })

  it('reads what the socket holds before it calls anything overdue after a blocked event loop', async () => {
    const queue = new DeadlineQueue<Item>(() => expect.unreachable('a reply was there in time'))
    const item = new Item('answered while the loop was blocked')
    const { socket, peer, close } = await socketPair()
    socket.on('data', () => queue.remove(item))
    queue.add(item, 20, performance.now())
    peer.write('reply')
    const blockedUntil = performance.now() + 100
    while (performance.now() < blockedUntil);
    await expect.poll(() => item.list).toBeUndefined()
    queue.close()
    close()
  })

  it('promise 5: forgets durations that only one call used', async () => {
    const queue = new DeadlineQueue<Item>(() => {})
    const now = performance.now()
    for (let ms = 1; ms <= 200; ms++) queue.add(new Item(`${ms}`), ms / 10, now)
    await expect.poll(() => queue.durations).toBeLessThanOrEqual(8)
    queue.close()
  })
})

describe('what is unavailability', () => {
  it.each(unavailabilityTable)('$prefix $containing: $why', ({ prefix, containing, meaning }) => {
    expect(meaningOf(new Error(`${prefix} ${containing ?? 'and some text'}`))).toBe(meaning)
  })

  it.each([
    Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:6379'), { code: 'ECONNREFUSED' }),
    Object.assign(new Error('getaddrinfo ENOTFOUND redis'), { code: 'ENOTFOUND' }),
    Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' }),
    new Error('Socket closed unexpectedly'),
    new Error('The client is closed'),
    new Error('Connection is closed.'),
  ])('a lost connection: $message', (error) => {
    expect(meaningOf(error)).toBe('unavailable')
  })

  it.each([
    new Error('WRONGTYPE Operation against a key holding the wrong kind of value'),
    new Error('NOPERM this user has no permissions'),
    new Error('ERR unknown command'),
    new Error('NOSCRIPT No matching script.'),
    new Error('CROSSSLOT Keys in request'),
    new TypeError('a bug of the caller'),
    'not even an error',
  ])("the caller's to see: %s", (error) => {
    expect(meaningOf(error)).toBe('caller')
  })

  it('knows which failures were certainly not sent', () => {
    expect(wasNotSent(new Error('The client is closed'))).toBe(true)
    expect(wasNotSent(new Error('Socket closed unexpectedly'))).toBe(false)
  })
})

describe('the breaker', () => {
  let trials: number
  let changes: string[]
  let breaker: Breaker

  beforeEach(async () => {
    const createBreaker = await loadBreaker({})
    vi.useFakeTimers()
    trials = 0
    changes = []
    breaker = createBreaker({
      trial: () => trials++,
      changed: (closed, reason) => changes.push(`${closed ? 'closed' : 'open'}: ${reason}`),
    })
  })
  afterEach(() => {
    breaker.shutdown()
    vi.useRealTimers()
  })

  const report = async (failures: number, successes: number) => {
    const { generation } = breaker
    for (let count = 0; count < failures; count++) breaker.failed(generation)
    for (let count = 0; count < successes; count++) breaker.succeeded(generation)
    await vi.advanceTimersByTimeAsync(0)
  }

  it('is open until there was a first sign of life', () => {
    expect(breaker.closed).toBe(false)
    breaker.settle(true)
    expect(breaker.closed).toBe(true)
    expect(changes).toEqual(['closed: recovered'])
    expect(breaker.counts.opened).toBe(0)
  })

  it('opens when more than half of at least twenty outcomes failed', async () => {
    breaker.settle(true)
    await report(19, 0)
    expect(breaker.closed).toBe(true)
    await report(2, 0)
    expect(breaker.closed).toBe(false)
  })

  it('stays closed while failures are few among many', async () => {
    breaker.settle(true)
    for (let round = 0; round < 20; round++) await report(2, 10)
    expect(breaker.closed).toBe(true)
  })

  it('opens at once on evidence that needs no statistics, and keeps its reason', () => {
    breaker.settle(true)
    breaker.trip('the socket ended')
    expect(breaker.closed).toBe(false)
    expect(breaker.reason).toBe('the socket ended')
  })

  it('goes on trying while it is open, with pauses that stay under a second', async () => {
    breaker.settle(true)
    breaker.trip('gone')
    for (let round = 1; round <= 8; round++) {
      await vi.advanceTimersByTimeAsync(750)
      expect(trials).toBeGreaterThanOrEqual(round)
      breaker.settle(false)
    }
    breaker.settle(true)
    expect(breaker.closed).toBe(true)
  })

  it('hears nothing of commands that were sent before it last changed', async () => {
    breaker.settle(true)
    const stale = breaker.generation
    breaker.trip('gone')
    for (let count = 0; count < 50; count++) breaker.succeeded(stale)
    await vi.advanceTimersByTimeAsync(0)
    expect(breaker.closed).toBe(false)
    breaker.settle(true)
    for (let count = 0; count < 50; count++) breaker.failed(stale)
    await vi.advanceTimersByTimeAsync(0)
    expect(breaker.closed).toBe(true)
  })
})

async function socketPair() {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const socket = connectTo(port, '127.0.0.1')
  const peer = await accepted
  const close = () => {
    socket.destroy()
    peer.destroy()
    server.close()
  }
  return { socket, peer, close }
}
