import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Connection, connect, ManualClock } from '@evenkeel/core'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  createDecoderPool,
  type DecoderPool,
  type DecoderPoolOptions,
  type MirrorDamagedError,
  type NodeLease,
} from '../src/index.js'
import { startNode } from './nodes.js'

const node = (name: string, more = {}) => ({
  id: name,
  endpoint: `http://${name}.internal:8000`,
  capacity: 2,
  ...more,
})
const idsOf = (pool: DecoderPool) =>
  pool
    .status()
    .nodes.map((one) => one.node.id)
    .sort()

const noted = (order: string[], name: string) => (lease: NodeLease) => {
  order.push(name)
  return lease
}

const open: DecoderPool[] = []
async function create(options: DecoderPoolOptions = {}): Promise<DecoderPool> {
  const pool = await createDecoderPool({ probe: false, ...options })
  open.push(pool)
  return pool
}
afterEach(async () => {
  for (const pool of open.splice(0)) await pool.close()
})

describe('choosing', () => {
  it('gives the less loaded of two, and never more than a node’s capacity', async () => {
    const pool = await create()
    for (const name of ['a', 'b', 'c']) await pool.register(node(name))
    const leases = []
    for (let count = 0; count < 6; count++) leases.push(await pool.acquire())
    expect(pool.status().nodes.map(({ inFlight }) => inFlight)).toEqual([2, 2, 2])
    await expect(pool.acquire()).rejects.toMatchObject({ code: 'NO_NODE', reason: 'no-capacity' })
    leases[0]?.release({ ok: true })
    leases[0]?.release({ ok: true })
    expect(
      pool
        .status()
        .nodes.map(({ inFlight }) => inFlight)
        .sort(),
    ).toEqual([1, 2, 2])
    expect(pool.pick()?.id).toBe(leases[0]?.node.id)
  })

  it('spreads load evenly', async () => {
    let seed = 7
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed / 2_147_483_647
    }
    const pool = await create({ random })
    for (let index = 0; index < 10; index++) await pool.register(node(`n${index}`, { capacity: 100 }))
    for (let count = 0; count < 500; count++) await pool.acquire()
    const loads = pool.status().nodes.map(({ inFlight }) => inFlight)
    expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(6)
  })

  it('prefers its region and a loaded adapter, and spills over', async () => {
    const pool = await create({ region: 'eu' })
    await pool.register(node('eu', { region: 'eu', capacity: 1 }))
    await pool.register(node('us', { region: 'us', adapters: ['en-de'] }))
    expect(pool.pick()?.id).toBe('eu')
    expect(pool.pick({ adapter: 'en-de', region: 'us' })?.id).toBe('us')
    expect((await pool.acquire()).node.id).toBe('eu')
    expect((await pool.acquire()).node.id).toBe('us')
  })

  it('wants all tags and the model, and says when nothing fits', async () => {
    const pool = await create()
    await pool.register(node('a', { tags: ['production', 'v2'], model: 'm' }))
    expect(pool.pick({ tags: ['v2'], model: 'm' })?.id).toBe('a')
    expect(pool.pick({ tags: ['v3'] })).toBeUndefined()
    await expect(pool.acquire({ model: 'other', timeoutMs: 5 })).rejects.toMatchObject({ reason: 'no-match' })
  })

  it('serves those who wait in order, and lets them give up', async () => {
    const pool = await create({ maxWaiting: 2 })
    await pool.register(node('a', { capacity: 1 }))
    const first = await pool.acquire()
    const order: string[] = []
    const second = pool.acquire({ timeoutMs: 1_000 }).then(noted(order, 'second'))
    const abort = new AbortController()
    const leaving = pool.acquire({ timeoutMs: 1_000, signal: abort.signal })
    await expect(pool.acquire({ timeoutMs: 1_000 })).rejects.toMatchObject({ reason: 'too-many-waiting' })
    abort.abort(new Error('gone'))
    await expect(leaving).rejects.toThrow('gone')
    const third = pool.acquire({ timeoutMs: 1_000 }).then(noted(order, 'third'))
    first.release({ ok: true })
    ;(await second).release({ ok: true })
    ;(await third).release({ ok: true })
    expect(order).toEqual(['second', 'third'])
    expect(pool.status().nodes[0]?.inFlight).toBe(0)
  })

  it('takes a failing node out for a while, longer each time', async () => {
    const clock = new ManualClock()
    const pool = await create({ clock, ejectAfter: 3 })
    for (const name of ['bad', 'good', 'good2']) await pool.register(node(name, { capacity: 100 }))
    const fail = async () => {
      for (let count = 0; count < 50; count++) {
        const lease = await pool.acquire()
        lease.release({ ok: lease.node.id !== 'bad' })
      }
    }
    const badRequests = () => pool.status().nodes.find((one) => one.node.id === 'bad')?.requests
    await fail()
    expect(badRequests()).toBe(3)
    clock.advance(1_001)
    await fail()
    expect(badRequests()).toBe(4)
    clock.advance(1_001)
    await fail()
    expect(badRequests()).toBe(4)
    clock.advance(1_001)
    await fail()
    expect(badRequests()).toBe(5)
  })

  it('uses all nodes when more than half seem out', async () => {
    const pool = await create({ ejectAfter: 1 })
    for (const name of ['a', 'b', 'c']) await pool.register(node(name))
    for (let count = 0; count < 20; count++) (await pool.acquire()).release({ ok: false })
    expect(pool.pick()).toBeDefined()
  })

  it('gives a draining node nothing new', async () => {
    const pool = await create()
    await pool.register(node('a'))
    const lease = await pool.acquire()
    expect(await pool.drain('a')).toBe(true)
    expect(pool.pick()).toBeUndefined()
    lease.release({ ok: true })
    expect(await pool.drain('unknown')).toBe(false)
  })
})

describe('probing', () => {
  it('takes out a node that fails its health check, and brings it back', async () => {
    await using sick = await startNode()
    await using well = await startNode()
    await using well2 = await startNode()
    const pool = await create({ probe: { interval: 20, timeout: 200 } })
    for (const [id, { endpoint }] of Object.entries({ sick, well, well2 }))
      await pool.register({ id, endpoint, capacity: 5 })
    const isHealthy = () => pool.status().nodes.find((one) => one.node.id === 'sick')?.healthy
    sick.healthy = false
    await until(() => isHealthy() === false, 2_000)
    for (let count = 0; count < 20; count++) expect(pool.pick()?.id).not.toBe('sick')
    sick.healthy = true
    await until(() => isHealthy() === true, 2_000)
  })

  it('promise 7: stops when the pool is closed', async () => {
    await using probed = await startNode()
    const pool = await create({ probe: { interval: 10 } })
    await pool.register({ endpoint: probed.endpoint })
    await until(() => probed.probes > 1, 2_000)
    await pool.close()
    const { probes } = probed
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(probed.probes).toBeLessThanOrEqual(probes + 1)
  })
})

describe('bad input', () => {
  it.each([
    {},
    { endpoint: 'not a url' },
    { endpoint: 'ftp://host' },
    { endpoint: 'http://user:c4nary@host' },
    { endpoint: 'http://h', capacity: 0 },
    { endpoint: 'http://h', capacity: 1.5 },
    { endpoint: 'http://h', tags: 'production' },
    { endpoint: 'http://h', tags: [''] },
    { endpoint: 'http://h', metadata: { x: 'y'.repeat(10_000) } },
    { endpoint: 'http://h', id: '' },
  ])('refuses %j', async (input) => {
    const pool = await create()
    const error = await pool.register(input as { endpoint: string }).catch((caught) => caught)
    expect(error).toMatchObject({ code: 'INVALID_INPUT' })
    expect(error.message).not.toContain('c4nary')
    expect(pool.status().nodes).toEqual([])
  })
})

describe('the file', () => {
  const folders: string[] = []
  let file: string

  beforeEach(() => {
    const folder = mkdtempSync(join(tmpdir(), 'evenkeel-pool-'))
    folders.push(folder)
    file = join(folder, 'config', 'pool.json')
  })
  // Not after each: the pools, which write as they close, are closed after that.
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  })

  const written = () => JSON.parse(readFileSync(file, 'utf8')).nodes.map(({ id }: { id: string }) => id)

  it('mirrors the pool, and gives it back to the next process', async () => {
    const first = await create({ file })
    await first.register(node('a', { tags: ['x'] }))
    await first.register(node('b'))
    await first.close()
    expect(written()).toEqual(['a', 'b'])
    const second = await create({ file })
    expect(idsOf(second)).toEqual(['a', 'b'])
    expect(second.pick({ tags: ['x'] })?.id).toBe('a')
  })

  it.each([
    ['cut off', (text: string) => text.slice(0, text.length / 2)],
    ['changed behind its checksum', (text: string) => text.replace('"capacity": 2', '"capacity": 9')],
    ['of another shape', () => '{"nodes": 7}'],
    ['empty', () => ''],
  ])(
    'that is %s is told of, the last good one is used, and no empty pool overwrites it',
    async (_, damage) => {
      const first = await create({ file })
      await first.register(node('a'))
      await first.register(node('b'))
      await first.close()
      const damaged = damage(readFileSync(file, 'utf8'))
      writeFileSync(file, damaged)
      const pool = await create({ file })
      const warning = await new Promise<MirrorDamagedError>((resolve) => pool.on('warning', resolve))
      expect(warning.code).toBe('MIRROR_DAMAGED')
      expect(idsOf(pool)).toEqual(['a'])
      await pool.close()
      rmSync(`${file}.1`)
      writeFileSync(file, damaged)
      const empty = await create({ file })
      await new Promise((resolve) => empty.on('warning', resolve))
      await empty.close()
      expect(readFileSync(file, 'utf8')).toBe(damaged)
    },
  )

  it('may be written by hand, with the names of the seed system', async () => {
    const first = await create({ file })
    await first.register(node('a'))
    await first.close()
    writeFileSync(
      file,
      JSON.stringify({
        nodes: [{ node_id: 'h', endpoint: 'http://h:1', gpu_type: 'A100', hot_adapters: ['x'] }],
      }),
    )
    const pool = await create({ file })
    expect(pool.status().nodes[0]?.node).toMatchObject({
      id: 'h',
      gpuType: 'A100',
      adapters: ['x'],
      capacity: 1,
    })
  })
})

describe('coordinators that share a Redis', () => {
  let server: RedisServer
  const connections: Connection[] = []
  let pools = 0

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())
  afterEach(async () => {
    for (const redis of connections.splice(0)) await redis.close()
  })

  const coordinator = async (options: DecoderPoolOptions & { url?: string } = {}) => {
    const { url = server.url, ...rest } = options
    const redis = await connect({ url, commandTimeout: 200 })
    connections.push(redis)
    return { redis, pool: await create({ redis, pollInterval: 200, ...rest }) }
  }

  it('see each other’s changes within 50 ms, at the 99th percentile', async () => {
    const name = `fast-${pools++}`
    const { pool: one } = await coordinator({ name })
    const { pool: other } = await coordinator({ name })
    const delays: number[] = []
    for (let index = 0; index < 100; index++) {
      const seen = new Promise<number>((resolve) => {
        const stop = other.on('change', ({ added }) => {
          if (!added.includes(`n${index}`)) return
          stop()
          resolve(performance.now())
        })
      })
      const startedAt = performance.now()
      await one.register(node(`n${index}`))
      delays.push((await seen) - startedAt)
    }
    delays.sort((a, b) => a - b)
    expect(delays[98]).toBeLessThan(50)
  })

  it('never lose each other’s nodes when they change the pool at once', async () => {
    const name = `race-${pools++}`
    const all = await Promise.all(Array.from({ length: 3 }, () => coordinator({ name })))
    await Promise.all(
      all.flatMap(({ pool }, who) =>
        Array.from({ length: 20 }, (_, index) => pool.register(node(`c${who}-${index}`))),
      ),
    )
    for (const { pool } of all) await until(() => pool.status().nodes.length === 60, 2_000)
  })

  it('heal what a lost message left out', async () => {
    const name = `quiet-${pools++}`
    const { pool: one } = await coordinator({ name })
    const { RedisRegistryStore } = await import('../src/index.js')
    const { checkNode } = await import('../src/node.js')
    const { redis } = await coordinator({ name })
    // A change that nobody is told of.
    await new RedisRegistryStore(redis, name).put(checkNode(node('silent')), 60_000)
    await until(() => idsOf(one).includes('silent'), 1_000)
  })

  it('promise 3: go on with the pool in an outage, and lose no registration of it', async () => {
    const own = await startRedis({ args: { appendonly: 'yes', appendfsync: 'always' } })
    const { pool: one } = await coordinator({ url: own.url })
    const { pool: other } = await coordinator({ url: own.url })
    await one.register(node('before'))
    await one.register(node('to-go'))
    await until(() => other.status().nodes.length === 2, 1_000)
    await own.kill()
    await until(() => one.status().state === 'fallback' && other.status().state === 'fallback', 2_000)
    expect(one.pick()).toBeDefined()
    await one.register(node('of-one'))
    await other.register(node('of-other'))
    await other.deregister('to-go')
    await own.restart()
    const expected = ['before', 'of-one', 'of-other']
    for (const pool of [one, other]) await until(() => idsOf(pool).join() === expected.join(), 5_000)
    await own.close()
  })

  it('keep the pool when Redis comes back empty', async () => {
    const own = await startRedis()
    const { pool: one } = await coordinator({ url: own.url })
    const { pool: other } = await coordinator({ url: own.url })
    for (const name of ['a', 'b', 'c']) await one.register(node(name))
    await until(() => other.status().nodes.length === 3, 1_000)
    await own.command('FLUSHALL')
    const { pool: third } = await coordinator({ url: own.url })
    await until(() => third.status().nodes.length === 3, 2_000)
    await own.restart({ empty: true })
    for (const pool of [one, other, third]) {
      await until(() => pool.status().state === 'primary', 3_000)
      expect(idsOf(pool)).toEqual(['a', 'b', 'c'])
    }
    await own.close()
  })

  it('remove a node that neither renews nor answers, but not for an outage of Redis', async () => {
    await using alive = await startNode()
    const { pool } = await coordinator({
      name: `lease-${pools++}`,
      lease: 150,
      removeAfter: 200,
      probe: { interval: 30, timeout: 100, unhealthyAfter: 1 },
    })
    await pool.register({ id: 'alive', endpoint: alive.endpoint })
    await pool.register({ id: 'dead', endpoint: 'http://127.0.0.1:9' })
    await until(() => idsOf(pool).join() === 'alive', 5_000)
  })
})
