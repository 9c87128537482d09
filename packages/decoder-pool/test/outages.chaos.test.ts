import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { createKeyspace } from '@evenkeel/core/kit'
import { fairTime, until } from '@evenkeel/test-servers'
import { afterAll, describe, expect, it } from 'vitest'
import type { DecoderPool } from '../src/index.js'
import { startNode } from './nodes.js'
import { durable, idsOf, node, useCoordinators, useServers } from './pools.js'

const start = useServers()
const { join } = useCoordinators()

const away = (...pools: DecoderPool[]) =>
  until(() => pools.every((pool) => pool.status().state === 'fallback'), 2_000)
const back = (...pools: DecoderPool[]) =>
  until(() => pools.every((pool) => pool.status().state === 'primary'), 5_000)

/** Returns a function that gives the smallest size of the pool since this call. */
function watchSize(pool: DecoderPool): () => number {
  let least = pool.status().nodes.length
  pool.on('change', () => {
    least = Math.min(least, pool.status().nodes.length)
  })
  return () => least
}

describe('promise 3: coordinators in an outage', () => {
  it('go on with the pool, and lose no registration or removal of it', async () => {
    const server = await start(durable)
    const { pool: one } = await join(server.url)
    const { pool: other } = await join(server.url)
    await one.register(node('before'))
    await one.register(node('to-go'))
    await until(() => other.status().nodes.length === 2, 1_000)
    await server.kill()
    await away(one, other)
    expect(one.pick()).toBeDefined()
    await one.register(node('of-one'))
    await one.register(node('before', { capacity: 9 }))
    await other.register(node('of-other'))
    await other.deregister('to-go')
    await server.restart()
    for (const pool of [one, other]) {
      await until(() => idsOf(pool).join() === 'before,of-one,of-other', 5_000)
      await until(() => pool.status().nodes.some((of) => of.node.capacity === 9), 5_000)
    }
  })

  it('keep the slots that they were giving back when it began', async () => {
    const server = await start()
    const { pool: one } = await join(server.url)
    const { pool: other } = await join(server.url)
    const names = Array.from({ length: 8 }, (_, index) => `n${index}`)
    for (const name of names) await one.register(node(name, { capacity: 1 }))
    await until(() => idsOf(other).length === 8, 5_000)
    await until(() => one.status().coordinators === 2, 10_000)
    const held = await Promise.all(names.map(() => one.acquire()))
    expect(new Set(held.map((lease) => lease.node.id)).size).toBe(8)
    server.freeze()
    // Redis may receive the reports, but will not answer.
    for (const lease of held) lease.release()
    await away(one, other)
    const again = await Promise.all(names.map(() => one.acquire({ timeout: '5s' })))
    expect(new Set(again.map((lease) => lease.node.id)).size).toBe(8)
    for (const lease of again) lease.release()
    server.resume()
  })

  it('forget no removal of it when Redis comes back empty, though others still know the node', async () => {
    const server = await start()
    const { pool: one } = await join(server.url)
    const { pool: other } = await join(server.url)
    await one.register(node('stays'))
    await one.register(node('to-go'))
    await until(() => other.status().nodes.length === 2, 1_000)
    await server.kill()
    await away(one, other)
    await one.deregister('to-go')
    await server.restart({ empty: true })
    await back(one, other)
    for (const pool of [one, other]) await until(() => idsOf(pool).join() === 'stays', 2_000)
  })

  it('lose nothing that is registered while they recover', async () => {
    const server = await start(durable)
    const { pool } = await join(server.url)
    for (let index = 0; index < 50; index++) await pool.register(node(`before-${index}`))
    await server.kill()
    await away(pool)
    await server.restart()
    const names: string[] = []
    await until(
      async () => {
        names.push(`during-${names.length}`)
        await pool.register(node(names.at(-1) ?? ''))
        return pool.status().state === 'primary'
      },
      5_000,
      { everyMs: 1 },
    )
    const { pool: fresh } = await join(server.url)
    await until(() => names.every((name) => idsOf(fresh).includes(name)), 5_000)
    expect(idsOf(pool)).toEqual(expect.arrayContaining(names))
  })

  it('keep the pool whole at every moment when Redis is flushed or comes back empty', async () => {
    const server = await start()
    const { pool: one } = await join(server.url)
    const { pool: other } = await join(server.url)
    for (const name of ['a', 'b', 'c']) await one.register(node(name))
    await until(() => other.status().nodes.length === 3, 1_000)
    const least = [one, other].map(watchSize)
    await server.command('FLUSHALL')
    const { pool: third } = await join(server.url)
    await until(() => third.status().nodes.length === 3, 2_000)
    await server.restart({ empty: true })
    await back(one, other, third)
    for (const pool of [one, other, third]) expect(idsOf(pool)).toEqual(['a', 'b', 'c'])
    expect(least.map((of) => of())).toEqual([3, 3])
  })

  it('remember a removal through a flush, a rolling deploy, and one that comes with an older file', async () => {
    const server = await start()
    const first = await join(server.url)
    await first.pool.register(node('stays'))
    await first.pool.register(node('goes'))
    const folder = mkdtempSync(path(tmpdir(), 'evenkeel-removal-'))
    const file = path(folder, 'pool.json')
    const late = await join(server.url, { file })
    await until(() => idsOf(late.pool).length === 2, 5_000)
    await late.pool.close()
    await first.pool.deregister('goes')
    await server.command('FLUSHALL')
    const removed = createKeyspace(first.redis.namespace, 'decoder-pool').key('default', 'removed')
    await until(async () => (await server.command('ZSCORE', removed, 'goes')) !== null, 10_000)
    // The coordinator that knew of the removal is replaced.
    const second = await join(server.url)
    await first.pool.close()
    const again = await join(server.url, { file })
    await until(() => idsOf(again.pool).length === 1, 5_000)
    expect([idsOf(second.pool), idsOf(again.pool)]).toEqual([['stays'], ['stays']])
    await again.pool.close()
    rmSync(folder, { recursive: true })
  })

  it('take what is registered after a flush for newer than what they knew', async () => {
    const server = await start()
    const { pool: one } = await join(server.url, { pollInterval: '1h' })
    for (let capacity = 1; capacity <= 5; capacity++) await one.register(node('a', { capacity }))
    await server.command('FLUSHALL')
    const { pool: stranger } = await join(server.url)
    await stranger.register(node('a', { capacity: 50 }))
    for (const pool of [one, stranger]) await until(() => pool.status().nodes[0]?.node.capacity === 50, 2_000)
  })

  it('give back to Redis what a failover lost, though it went on counting', async () => {
    const server = await start()
    const { pool, redis } = await join(server.url, { pollInterval: 20 })
    for (const name of ['a', 'b']) await pool.register(node(name))
    // The state of a replica that had not received the last change when it was promoted.
    const [nodes, endpoints] = ['nodes', 'endpoints'].map((part) => `evenkeel:decoder-pool:{default}:${part}`)
    await redis.command(['HDEL', nodes ?? '', 'b'])
    await redis.command(['HDEL', endpoints ?? '', 'http://b.internal:8000'])
    const { pool: fresh } = await join(server.url)
    await until(() => idsOf(fresh).join() === 'a,b', 2_000)
    expect(idsOf(pool)).toEqual(['a', 'b'])
  })
})

describe('the outage of Redis', () => {
  it('promise 1: delays a registration by one deadline at most, and no choice at all', async () => {
    const server = await start()
    const { pool } = await join(server.url)
    await pool.register(node('a'))
    server.freeze()
    using time = fairTime()
    expect(pool.pick()?.id).toBe('a')
    await pool.register(node('b'))
    expect(time.elapsedMs()).toBeLessThan(200 + 50)
    expect(idsOf(pool)).toEqual(['a', 'b'])
    server.resume()
    await back(pool)
    const { pool: fresh } = await join(server.url)
    await until(() => idsOf(fresh).join() === 'a,b', 2_000)
  })

  it('removes no node for a silence that nobody could break', async () => {
    const server = await start(durable)
    await using shared = await startNode()
    shared.healthy = false
    const { pool } = await join(server.url, {
      lease: 100,
      removeAfter: 600,
      pollInterval: 20,
      probe: { interval: 20, unhealthyAfter: 1 },
    })
    await pool.register({ id: 'quiet', endpoint: shared.endpoint })
    await until(() => pool.status().nodes[0]?.healthy === false, 1_000)
    await server.kill()
    await away(pool)
    const end = performance.now() + 900
    await until(() => performance.now() > end, 2_000)
    await server.restart()
    await back(pool)
    // Its lease ended and its silence began more than `removeAfter` ago, but only time after the return counts.
    shared.healthy = true
    await until(() => pool.status().nodes[0]?.suspect === false, 2_000)
    expect(idsOf(pool)).toEqual(['quiet'])
  })
})

describe('the file', () => {
  const folders: string[] = []
  const newFile = () => {
    const folder = mkdtempSync(path(tmpdir(), 'evenkeel-pool-'))
    folders.push(folder)
    return path(folder, 'pool.json')
  }
  // `afterAll`, because the pools write when they close, which is after `afterEach`.
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  })

  it('is what a coordinator begins with while Redis is away, and what it changes then wins on return', async () => {
    const server = await start(durable)
    const file = newFile()
    const { pool: first } = await join(server.url, { file })
    for (let capacity = 1; capacity <= 5; capacity++) await first.register(node('a', { capacity }))
    await first.register(node('b'))
    await first.close()
    await server.kill()
    const { pool } = await join(server.url, { file })
    expect(idsOf(pool)).toEqual(['a', 'b'])
    await pool.register(node('a', { capacity: 50 }))
    await pool.deregister('b')
    await server.restart()
    await back(pool)
    const { pool: fresh } = await join(server.url)
    await until(() => idsOf(fresh).join() === 'a', 2_000)
    expect(fresh.status().nodes[0]?.node.capacity).toBe(50)
  })

  it('brings what was registered in an outage to Redis, though the process ended before it', async () => {
    const server = await start(durable)
    const file = newFile()
    const { pool: first } = await join(server.url, { file })
    await first.register(node('a'))
    await first.register(node('b'))
    await server.kill()
    await away(first)
    await first.register(node('c'))
    await first.deregister('a')
    await first.close()
    await server.restart()
    const { pool } = await join(server.url, { file })
    expect(idsOf(pool)).toEqual(['b', 'c'])
    const { pool: fresh } = await join(server.url)
    expect(idsOf(fresh)).toEqual(['b', 'c'])
  })

  it('that is old changes nothing that Redis knows better', async () => {
    const server = await start()
    const file = newFile()
    const { pool: first } = await join(server.url, { file })
    for (const name of ['a', 'b']) await first.register(node(name))
    await first.close()
    const { pool: second } = await join(server.url)
    await second.deregister('a')
    await second.register(node('b', { capacity: 7 }))
    const { pool } = await join(server.url, { file })
    expect(idsOf(pool)).toEqual(['b'])
    expect(pool.status().nodes[0]?.node.capacity).toBe(7)
  })
})
