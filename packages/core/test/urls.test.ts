import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { connect, EvenkeelError } from '../src/index.js'
import { readEnvironment } from '../src/options/environment.js'
import { type ConnectOptions, resolveOptions } from '../src/options.js'

const resolve = (options: ConnectOptions, env: Record<string, string> = {}) => {
  const read = readEnvironment(env, options)
  return { ...resolveOptions(read.options, read.sources), ignored: read.ignored }
}
const topology = (options: ConnectOptions, env?: Record<string, string>) => resolve(options, env).topology
const messageOf = (call: () => unknown): string => {
  try {
    call()
  } catch (error) {
    expect(error).toMatchObject({ code: 'INVALID_OPTION' })
    return EvenkeelError.isInstance(error) ? error.message : ''
  }
  throw new Error('nothing was thrown')
}

describe('a URL', () => {
  it.each([
    ['redis://h', { address: { host: 'h', port: 6379 }, tls: false, database: 0 }],
    ['rediss://h:1', { address: { host: 'h', port: 1 }, tls: {} }],
    ['valkey://h/1', { address: { host: 'h' }, database: 1, tls: false }],
    ['valkeys://h', { tls: {} }],
    ['redis://:p@h', { username: undefined, password: 'p' }],
    ['redis://u@h', { username: 'u', password: undefined }],
    ['redis://u:p%23%2F%3F%40%3A%25@h:7/2', { username: 'u', password: 'p#/?@:%', database: 2 }],
    ['redis://u:a:b@h', { password: 'a:b' }],
    ['redis://u:a@b@h', { password: 'a@b', address: { host: 'h' } }],
    ['redis://h?db=3', { database: 3 }],
    ['redis://h/3?db=3', { database: 3 }],
    ['redis:///3', { address: { host: '127.0.0.1' }, database: 3 }],
    ['redis://[2001:db8::1]:7000', { address: { host: '2001:db8::1', port: 7000 } }],
    ['redis://[::1]', { address: { host: '::1', port: 6379 } }],
    ['redis://my_redis', { address: { host: 'my_redis' } }],
    ['redis://bücher.example', { address: { host: 'xn--bcher-kva.example' } }],
    ['unix:///run/my%20redis.sock', { address: { path: '/run/my redis.sock' } }],
    ['unix:///run/my redis.sock?db=4', { address: { path: '/run/my redis.sock' }, database: 4 }],
    ['unix:/run/a@b.sock', { address: { path: '/run/a@b.sock' } }],
    ['unix://u:p@/run/r.sock', { address: { path: '/run/r.sock' }, username: 'u', password: 'p' }],
  ])('%s is read to its last part', (url, expected) => {
    expect(topology({ url })).toMatchObject(expected)
  })

  it.each([
    ['redis://:100%C4NARY@h', 'percent-encoded'],
    ['redis://u:C4NARY#x@h', 'percent-encoded'],
    ['redis://default:123#C4NARY@h', 'percent-encoded'],
    ['redis://default:9876/C4NARY@h', 'percent-encoded'],
    ['redis://default:9876?C4NARY@h', 'percent-encoded'],
    ['redis://h/0#C4NARY', 'percent-encoded'],
    ['redis://h/C4NARY', 'database number'],
    ['redis://h/0/1', 'database number'],
    ['redis:///run/C4NARY.sock', 'database number'],
    ['redis://h/70000', 'database from 0 to 65535'],
    ['redis://h?db=C4NARY', 'database number'],
    ['redis://h/1?db=2', 'one database number'],
    ['redis://h?ssl_cert_reqs=C4NARY', "no parameter 'ssl_cert_reqs'"],
    ['redis://h:0', 'port from 1'],
    ['redis://h:99999', 'a URL like'],
    ['redis://[::1', 'a URL like'],
    ['redis://a b', 'a URL like'],
    ['redis:C4NARY:6379', 'a URL like'],
    ['localhost:6379', 'a URL like'],
    ['http://u:C4NARY@h', 'a URL like'],
    ['redis+sentinel://C4NARY@h', 'a URL like'],
    ['unix://run/C4NARY.sock', 'three slashes'],
    ['unix:///', 'three slashes'],
    ['unix:///C4NARY%zz', 'percent-encoded'],
    ['C4NARY', 'a URL like'],
  ])('%s is refused by what is wrong with it, and not repeated', (url, expected) => {
    for (const [field, resolved] of [
      ['url', () => resolve({ url })],
      ['REDIS_URL', () => resolve({}, { REDIS_URL: url })],
    ] as const) {
      const message = messageOf(resolved)
      expect(message.startsWith(`${field}: `)).toBe(true)
      expect(message).toContain(expected)
      expect(message).not.toContain('C4NARY')
    }
    if (!url.includes('://')) return
    expect(messageOf(() => resolve({ replicas: [url], readFrom: 'replica' }))).toMatch(
      /^replicas\[0\]: (?!.*C4NARY)/,
    )
  })

  it('counts whole: what it says is not said otherwise beside it', () => {
    expect(messageOf(() => resolve({ url: 'redis://h', host: 'other' }))).toMatch(/^url and host: /)
    expect(messageOf(() => resolve({ url: 'redis://h', port: 7 }))).toMatch(/^url and port: /)
    expect(messageOf(() => resolve({ url: 'redis://:a@h', password: 'b' }))).toMatch(/^password: /)
    expect(messageOf(() => resolve({ url: 'redis://h/1', database: 2 }))).toMatch(/^database: /)
    expect(messageOf(() => resolve({ url: 'redis://h', cluster: { nodes: ['h'] } }))).toMatch(/^url and/)
    expect(messageOf(() => resolve({ client: {}, password: 'p' }))).toMatch(/^password: .*client/)
    const rotating = () => 'now'
    expect(topology({ url: 'redis://u@h', password: rotating })).toMatchObject({
      username: 'u',
      password: rotating,
    })
  })
})

describe('REDIS_URL beside other variables', () => {
  const url = 'redis://app:s3cret@prod.internal:6390/2'
  const whole = {
    address: { host: 'prod.internal', port: 6390 },
    username: 'app',
    password: 's3cret',
    database: 2,
  }

  it.each([
    ['of Kubernetes, for a Service named redis', { REDIS_PORT: 'tcp://10.96.0.7:6379' }, []],
    ['of compose, which publishes a port', { REDIS_PORT: '16380' }, []],
    ['that no server would take', { REDIS_PORT: 'none', REDIS_DB: '2' }, []],
    ['that say the same', { REDIS_HOST: 'PROD.internal', REDIS_PASSWORD: 's3cret' }, []],
    ['of another host', { REDIS_HOST: '127.0.0.1', REDIS_PORT: '16499' }, ['REDIS_HOST']],
    ['of another user', { REDIS_USERNAME: 'x', REDIS_PASSWORD: 'y' }, ['REDIS_USERNAME', 'REDIS_PASSWORD']],
    ['of another database', { REDIS_DB: '7' }, ['REDIS_DB']],
  ])('keeps its password where it is, whatever there is %s', (_, env, ignored) => {
    const resolved = resolve({}, { REDIS_URL: url, ...env })
    expect(resolved.topology).toMatchObject(whole)
    expect([...resolved.ignored].sort()).toEqual([...ignored].sort())
  })

  it('is filled in where it says nothing', () => {
    const env = { REDIS_URL: 'redis://h', REDIS_USERNAME: 'u', REDIS_PASSWORD: 'p', REDIS_DB: '3' }
    expect(resolve({}, env)).toMatchObject({
      topology: { address: { host: 'h' }, username: 'u', password: 'p', database: 3 },
      ignored: [],
    })
    expect(topology({}, { REDIS_URL: 'redis://u@h', REDIS_PASSWORD: 'p' })).toMatchObject({
      username: 'u',
      password: 'p',
    })
    expect(topology({ service: 'jobs' }, { REDIS_URL: 'redis://h/1', REDIS_DB_JOBS: '5' })).toMatchObject({
      database: 5,
    })
  })

  it('is never talked out of TLS, and may be talked into it', () => {
    const plain = resolve({}, { REDIS_URL: 'rediss://h', REDIS_TLS: 'false' })
    expect(plain).toMatchObject({ topology: { tls: {} }, ignored: ['REDIS_TLS'] })
    expect(topology({}, { REDIS_URL: 'redis://h', REDIS_TLS: 'true' })).toMatchObject({ tls: {} })
  })

  it('is not read where the code says a part of the place', () => {
    const env = { REDIS_URL: url, REDIS_PASSWORD: 's3cret' }
    expect(topology({ port: 7000 }, env)).toMatchObject({
      address: { host: '127.0.0.1', port: 7000 },
      password: undefined,
    })
    expect(topology({ host: 'h' }, env)).toMatchObject({ address: { host: 'h' }, password: undefined })
  })

  it('is told once, by name and without a value, when another variable disagrees', async () => {
    const lines: string[] = []
    const logger = { info: () => {}, warn: (line: string) => lines.push(line) }
    const env = { REDIS_URL: 'redis://:c4nary@127.0.0.1:1', REDIS_HOST: 'other.example' }
    await using redis = await connect({ logger }, env)
    expect(redis.state).toBe('down')
    expect(lines[0]).toContain('REDIS_HOST')
    expect(lines.join()).not.toMatch(/c4nary|other\.example/)
  })

  it('leaves a REDIS_PORT of Kubernetes alone without a URL too', () => {
    const env = { REDIS_HOST: 'redis', REDIS_PORT: 'tcp://10.96.0.7:6379' }
    expect(topology({}, env)).toMatchObject({ address: { host: 'redis', port: 6379 } })
  })
})

describe('nodes of a Cluster and of Sentinel', () => {
  it.each([
    'default:C4NARY@10.0.0.1:6379',
    'C4NARY',
    ':C4NARY',
    '10.0.0.1:C4NARY',
    'a:b:C4NARY',
    'redis://u:C4NARY#@h',
    '[::1]C4NARY',
  ])('%s is refused unrepeated, unless it is a host', (node) => {
    const isHost = node === 'C4NARY'
    for (const [field, env] of [
      ['REDIS_CLUSTER_NODES[0]', { REDIS_CLUSTER_MODE: '1', REDIS_CLUSTER_NODES: node }],
      ['REDIS_SENTINELS[0]', { REDIS_SENTINEL_MASTER: 'm', REDIS_SENTINELS: node }],
    ] as const) {
      if (isHost) expect(topology({}, env)).toBeDefined()
      else {
        const message = messageOf(() => resolve({}, env))
        expect(message.startsWith(`${field}:`)).toBe(true)
        expect(message).not.toContain('C4NARY')
      }
    }
  })

  it('have one user, password and TLS, which their URLs may say', () => {
    expect(topology({ cluster: { nodes: ['rediss://u:p@a:1', 'b:2'] } })).toMatchObject({
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 2 },
      ],
      username: 'u',
      password: 'p',
      tls: {},
    })
    expect(messageOf(() => resolve({ cluster: { nodes: ['redis://:p@a', 'redis://:q@b'] } }))).toMatch(
      /^cluster\.nodes: .*one password/,
    )
    expect(messageOf(() => resolve({ cluster: { nodes: ['redis://:p@a'] }, password: 'q' }))).toMatch(
      /^cluster\.nodes: /,
    )
    expect(messageOf(() => resolve({ cluster: { nodes: ['redis://a/3'] } }))).toMatch(/^database: /)
    const env = {
      REDIS_SENTINELS: 'redis://:own@s:26379',
      REDIS_SENTINEL_MASTER: 'm',
      REDIS_PASSWORD: 'primary',
    }
    expect(topology({}, env)).toMatchObject({ sentinelPassword: 'own', password: 'primary' })
    const byVariable = { ...env, REDIS_SENTINELS: 's:26379', REDIS_SENTINEL_PASSWORD: 'sp' }
    expect(topology({}, byVariable)).toMatchObject({ sentinelPassword: 'sp', sentinels: [{ host: 's' }] })
  })

  it('and replicas have the credentials of their URLs, else those of the primary', () => {
    const options = {
      url: 'redis://u:p@h',
      replicas: ['redis://a', 'redis://v:q@b:2', 'rediss://c'],
      readFrom: 'replica',
    } as const
    expect(topology(options)).toMatchObject({
      replicas: [
        { host: 'a', port: 6379, username: 'u', password: 'p', tls: false },
        { host: 'b', port: 2, username: 'v', password: 'q' },
        { host: 'c', username: 'u', tls: {} },
      ],
    })
    expect(topology({ ...options, tls: { servername: 's' } })).toMatchObject({
      replicas: [{ tls: { servername: 's' } }, { tls: { servername: 's' } }, { tls: { servername: 's' } }],
    })
  })

  it('do not show what they hold when the resolved options are inspected for an error', () => {
    const error = (() => {
      try {
        resolve({ url: 'redis://u:C4NARY@h', poolSize: 0 })
      } catch (caught) {
        return caught
      }
    })()
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('C4NARY')
  })
})
