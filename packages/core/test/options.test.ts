import { describe, expect, it } from 'vitest'
import { connect, EvenkeelError } from '../src/index.js'
import { durationMs } from '../src/kit/index.js'
import { readEnvironment } from '../src/options/environment.js'
import { parseAddress } from '../src/options/url.js'
import { type ConnectOptions, resolveOptions } from '../src/options.js'

const resolve = (options: ConnectOptions, env: Record<string, string> = {}) => {
  const read = readEnvironment(env, options)
  return resolveOptions(read.options, read.sources)
}

describe('options in code', () => {
  it('come with defaults', () => {
    expect(resolve({})).toMatchObject({
      topology: { kind: 'standalone', address: { host: '127.0.0.1', port: 6379 }, database: 0, tls: false },
      poolSize: 1,
      namespace: 'evenkeel:',
      commandTimeoutMs: 500,
      connectionTimeoutMs: 5_000,
      maxInFlight: 10_000,
      enableOfflineQueue: false,
      autoResync: true,
    })
  })

  it('read everything that a URL says', () => {
    expect(resolve({ url: 'rediss://app:p%40ss@[::1]:7000/3' }).topology).toMatchObject({
      address: { host: '::1', port: 7000 },
      username: 'app',
      password: 'p@ss',
      database: 3,
      tls: {},
    })
    expect(resolve({ url: 'unix:///tmp/redis.sock' }).topology).toMatchObject({
      address: { path: '/tmp/redis.sock' },
    })
  })

  it('stand before the environment', () => {
    const env = { REDIS_URL: 'redis://elsewhere:1', REDIS_COMMAND_TIMEOUT: '900', REDIS_KEY_PREFIX: 'env' }
    const resolved = resolve({ host: 'here', namespace: 'mine' }, env)
    expect(resolved.topology).toMatchObject({ address: { host: 'here', port: 6379 } })
    expect(resolved.namespace).toBe('mine:')
    expect(resolved.commandTimeoutMs).toBe(900)
  })

  it.each([
    [{ url: 'http://localhost' }, /^url: .*a string of 16 characters/],
    [{ url: 'not a url' }, /^url: /],
    [{ url: 'redis://localhost/abc' }, /^url: .*a string of 21 characters/],
    [{ port: 70_000 }, /^port: .*70000/],
    [{ database: -1 }, /^database: .*-1/],
    [{ commandTimeout: 0 }, /^commandTimeout: /],
    [{ commandTimeout: '5 fortnights' as '5s' }, /^commandTimeout: .*a string of 12 characters/],
    [{ maxInFlight: 1.5 }, /^maxInFlight: .*1\.5/],
    [{ poolSize: 0 }, /^poolSize: .*0/],
    [{ namespace: 'a{b}' }, /^namespace: /],
    [{ readFrom: 'anywhere' as 'replica' }, /^readFrom: .*a string of 8 characters/],
    [{ url: 'rediss://h', tls: false }, /^tls: /],
    [{ cluster: { nodes: [] } }, /^cluster\.nodes: /],
    [{ cluster: { nodes: ['h:0'] } }, /^cluster\.nodes\[0\]: /],
    [{ cluster: { nodes: ['h'] }, database: 2 }, /^database: 0, the only one|^database: /],
    [{ sentinel: { nodes: ['h'], name: '' } }, /^sentinel\.name: /],
    [{ client: {}, cluster: { nodes: ['h'] } }, /^client and cluster: /],
  ] satisfies [ConnectOptions, RegExp][])('%j is refused before any I/O', async (options, message) => {
    await expect(connect(options, {})).rejects.toThrow(message)
    await expect(connect(options, {})).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('refuse a client that they do not know', async () => {
    await expect(connect({ client: { get() {} } }, {})).rejects.toMatchObject({ code: 'UNKNOWN_CLIENT' })
  })

  it('promise 10: never repeat a URL, which may hold a password, in an error', async () => {
    const error = await connect({ url: 'redis//:c4nary@h' }, {}).catch((caught) => caught)
    expect(EvenkeelError.isInstance(error)).toBe(true)
    expect(`${error.message}${error.stack}${JSON.stringify(error)}`).not.toContain('c4nary')
  })
})

describe('the environment', () => {
  it('says where Redis is when the code does not', () => {
    const env = {
      REDIS_HOST: 'cache',
      REDIS_PORT: '6380',
      REDIS_PASSWORD: 's',
      REDIS_DB: '2',
      REDIS_TLS: 'yes',
    }
    expect(resolve({}, env).topology).toMatchObject({
      address: { host: 'cache', port: 6380 },
      password: 's',
      database: 2,
      tls: {},
    })
  })

  it('gives a service a database of its own', () => {
    const env = { REDIS_DB: '1', REDIS_DB_AI_AGENTS: '4' }
    expect(resolve({ service: 'ai-agents' }, env).topology).toMatchObject({ database: 4 })
    expect(resolve({ service: 'other' }, env).topology).toMatchObject({ database: 1 })
  })

  it('knows Cluster, Sentinel and replicas', () => {
    expect(
      resolve({}, { REDIS_CLUSTER_MODE: '1', REDIS_CLUSTER_NODES: 'a:1, [::1]:2,c' }).topology,
    ).toMatchObject({
      kind: 'cluster',
      nodes: [
        { host: 'a', port: 1 },
        { host: '::1', port: 2 },
        { host: 'c', port: 6379 },
      ],
    })
    const sentinels = { REDIS_SENTINELS: 'a:26379', REDIS_SENTINEL_MASTER: 'main' }
    expect(resolve({}, sentinels).topology).toMatchObject({ kind: 'sentinel', name: 'main' })
    const replicas = { REDIS_READ_REPLICAS: 'on', REDIS_READ_REPLICA_URLS: 'redis://r:7' }
    expect(resolve({}, replicas).topology).toMatchObject({
      readFrom: 'replica',
      replicas: [{ host: 'r', port: 7 }],
    })
  })

  it('takes the other settings', () => {
    const env = {
      REDIS_POOL_SIZE: '3',
      REDIS_CONNECTION_TIMEOUT: '1000',
      REDIS_COMMAND_TIMEOUT: '200',
      REDIS_ENABLE_OFFLINE_QUEUE: 'true',
      REDIS_ENABLE_AUTORESYNC: 'false',
      REDIS_KEY_PREFIX: 'app',
      REDIS_HEALTH_CHECK_INTERVAL: '5',
    }
    expect(resolve({}, env)).toMatchObject({
      poolSize: 3,
      connectionTimeoutMs: 1_000,
      commandTimeoutMs: 200,
      enableOfflineQueue: true,
      autoResync: false,
      namespace: 'app:',
      healthCheckIntervalMs: 5_000,
    })
  })

  it('takes an empty variable for none', () => {
    expect(resolve({}, { REDIS_URL: '', REDIS_PORT: ' ' }).topology).toMatchObject({
      address: { port: 6379 },
    })
  })

  it.each([
    ['REDIS_PORT', 'abc'],
    ['REDIS_POOL_SIZE', '0'],
    ['REDIS_TLS', 'maybe'],
    ['REDIS_COMMAND_TIMEOUT', '1.5'],
    ['REDIS_DB', '-1'],
    ['REDIS_ENABLE_AUTORESYNC', '2'],
    ['REDIS_HEALTH_CHECK_INTERVAL', '0'],
  ])('%s=%s is an error that names both', (name, value) => {
    expect(() => resolve({}, { [name]: value })).toThrow(new RegExp(`^${name}: expected .* got a string`))
  })

  it('says which variable is missing', () => {
    expect(() => resolve({}, { REDIS_CLUSTER_MODE: 'true' })).toThrow(
      /^REDIS_CLUSTER_NODES: .*REDIS_CLUSTER_MODE/,
    )
  })
})

describe('durations and addresses', () => {
  it.each([
    [250, 250],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['1h', 3_600_000],
    ['30d', 2_592_000_000],
    ['2w', 1_209_600_000],
  ] as const)('%s is %d ms', (duration, ms) => {
    expect(durationMs('ttl', duration)).toBe(ms)
  })

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY, '10', 's', '1 s', '', null, {}])(
    '%s is no duration',
    (wrong) => {
      expect(() => durationMs('ttl', wrong as number)).toThrow(/^ttl: expected a duration/)
    },
  )

  it('reads addresses', () => {
    expect(parseAddress('node', 'redis://h:7')).toEqual({ host: 'h', port: 7, tls: false })
    expect(parseAddress('node', { host: 'h', port: 7 })).toEqual({ host: 'h', port: 7 })
    expect(() => parseAddress('node', 'a:b:c')).toThrow(/^node: /)
  })
})
