import { type Connection, connect } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { RedisExperimentStore } from '../src/experiments/redis.js'
import { RedisHealthStore } from '../src/health/redis.js'
import { createDecoderPool } from '../src/index.js'
import { checkNode } from '../src/nodes/node.js'
import { RedisRegistryStore } from '../src/registry/redis.js'
import { RedisSlotStore } from '../src/slots/redis.js'

const me = { id: 'coordinator', region: undefined }
const verdict = { node: 'a', healthy: true, forMs: 1_000 }

describe('a value that another hand has put in the place of ours', () => {
  let server: RedisServer
  let redis: Connection
  let warnings: string[]
  const onWarning = (warning: Error & { code?: string }) => warnings.push(warning.code ?? warning.message)

  beforeAll(async () => {
    server = await startRedis()
    redis = await connect({ url: server.url, commandTimeout: '30s', connectionTimeout: '30s' })
  })
  afterAll(async () => {
    await redis.close()
    await server.close()
  })
  beforeEach(() => {
    warnings = []
    process.on('warning', onWarning)
    return server.command('FLUSHALL')
  })
  afterEach(() => void process.off('warning', onWarning))

  let uses = 0

  /** Makes each call of each store, so that all keys exist and all scripts run. */
  async function useAll(): Promise<void> {
    const registry = new RedisRegistryStore(redis, 'p')
    const slots = new RedisSlotStore(redis, 'p')
    const health = new RedisHealthStore(redis, 'p')
    const experiments = new RedisExperimentStore(redis, 'p')
    const requests = [{ requirement: 'r', waitedMs: 0, candidates: [{ node: 'a', capacity: 1 }] }]
    const waiting = new Map([['r', 5]])
    const sequence = ++uses * 10
    const node = checkNode({ id: 'a', endpoint: `http://127.0.0.1:${(sequence % 60_000) + 1}`, capacity: 1 })
    const gone = checkNode({ id: 'gone', endpoint: 'http://127.0.0.1:65000' })
    expect((await registry.put(node, 60_000)).id).toBe('a')
    await registry.put(gone, 60_000)
    expect((await registry.remove('gone')).removed).toBe(true)
    await registry.renew(['a'], 60_000)
    expect((await registry.read()).registrations.map((one) => one.node.id)).toEqual(['a'])
    expect((await slots.heartbeat(me, sequence, new Map(), 60_000)).known).toBe(true)
    await slots.take(me, {
      sequence: sequence + 1,
      held: new Map(),
      requests: [...requests, ...requests],
      waiting,
    })
    await slots.heartbeat(me, sequence + 2, new Map(), 60_000)
    const word = { by: 'other', region: undefined, aliveMs: 60_000, keepMs: 60_000, verdicts: [verdict] }
    await health.share(word)
    expect((await health.share({ ...word, by: 'me', verdicts: [] })).verdicts.map((one) => one.node)).toEqual(
      ['a'],
    )
    expect(await health.takeTrial('a', 'me', 60_000)).toBe(true)
    const experiment = { id: 'e', languagePair: 'en-de', trafficPercentage: 50, experimentTags: ['x'] }
    const put = await experiments.put({ ...experiment, controlTags: [], active: true, salt: '' })
    expect(['put', 'overlap']).toContain(put.outcome)
    expect((await experiments.list()).map(({ id }) => id)).toEqual(['e'])
  }

  const kinds: Record<string, (key: string) => Promise<unknown>> = {
    'a text': (key) => server.command('SET', key, 'garbage'),
    'a list': (key) => server.command('RPUSH', key, 'garbage'),
    'a set': (key) => server.command('SADD', key, 'garbage'),
    'a hash': (key) => server.command('HSET', key, 'garbage', 'x', 'a', 'garbage', 'e', 'NaN', '', '!'),
    'a sorted set': (key) => server.command('ZADD', key, '1', 'garbage'),
  }

  it.each(Object.keys(kinds))('is written over or passed over, where it is %s', async (kind) => {
    await useAll()
    const keys = (await server.command('KEYS', '*')) as string[]
    expect(keys.length).toBeGreaterThanOrEqual(12)
    for (const key of keys) {
      await server.command('FLUSHALL')
      await useAll()
      await server.command('DEL', key)
      await kinds[kind]?.(key)
      await expect(useAll(), `${key} holds ${kind}`).resolves.toBeUndefined()
    }
    for (const code of warnings) expect(code).toBe('EVENKEEL_POOL_UNREADABLE')
  })

  it('is told to the logger of the connection where it has one, and then to nobody else', async () => {
    const lines: string[] = []
    const logger = { info: () => {}, warn: (line: string) => void lines.push(line) }
    await using logged = await connect({
      url: server.url,
      logger,
      commandTimeout: '30s',
      connectionTimeout: '30s',
    })
    await server.command('SET', 'evenkeel:decoder-pool:{p}:nodes', 'garbage')
    await new RedisRegistryStore(logged, 'p').read()
    expect(lines).toEqual([expect.stringContaining("a key of the decoder pool 'p'")])
    expect(warnings).toEqual([])
  })

  it('takes no node from a pool that knows it', async () => {
    const pool = await createDecoderPool({ redis, name: 'p', probe: false })
    await pool.register({ id: 'known', endpoint: 'http://127.0.0.1:9' })
    for (const part of ['nodes', 'meta', 'endpoints', 'leases', 'log', 'slots', 'coordinators']) {
      const key = `evenkeel:decoder-pool:{p}:${part}`
      await server.command('SET', key, 'garbage')
      const added = await pool.register({ id: part, endpoint: `http://127.0.0.1:9/${part}` })
      expect(added.id).toBe(part)
      const lease = await pool.acquire()
      lease.release()
    }
    const second = await createDecoderPool({ redis, name: 'p', probe: false })
    await expect
      .poll(() => second.status().nodes.map(({ node }) => node.id), { timeout: 20_000 })
      .toContain('known')
    await second.close()
    await pool.close()
  })
})
