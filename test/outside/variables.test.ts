import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { libraries, type Project, project } from './harness/index.js'

/** Connects with each environment of a list in turn, and reports where it is connected, or the error. */
const script = `
  import { connect } from '@evenkeel/core'
  const told = []
  for (const [env, options] of JSON.parse(process.env.CASES ?? '[]')) {
    try {
      const redis = await connect({ connectionTimeout: '10s', commandTimeout: '10s', ...options }, env)
      const info = redis.state === 'up' ? String(await redis.command(['CLIENT', 'INFO'])) : ''
      told.push({ state: redis.state, user: /user=(\\S+)/.exec(info)?.[1], db: /db=(\\d+)/.exec(info)?.[1], port: /laddr=\\S+:(\\d+)/.exec(info)?.[1] })
      await redis.close()
    } catch (error) {
      told.push({ code: error.code, name: error.name, message: error.message })
    }
  }
  console.log(JSON.stringify(told))`

type Told = {
  state?: string
  user?: string
  db?: string
  port?: string
  code?: string
  message?: string
}

let redis: RedisServer
let other: RedisServer
let app: Project
beforeAll(async () => {
  redis = await startRedis()
  other = await startRedis()
  await redis.command('ACL', 'SETUSER', 'ada', 'on', '>p@ss:/#%w', '~*', '&*', '+@all')
  app = await project('variables', {
    packages: ['@evenkeel/core'],
    dependencies: { redis: libraries.redis6 },
  })
})
afterAll(async () => {
  await redis.close()
  await other.close()
})

async function connectWith(cases: readonly (readonly [env: object, options?: object])[]): Promise<Told[]> {
  const { value } = await app.run(script, { env: { CASES: JSON.stringify(cases) }, stderr: 'allowed' })
  return value as Told[]
}

describe('what deployments set', () => {
  it("Kubernetes' own variables of a service that is called redis disturb nothing", async () => {
    const kubernetes = {
      REDIS_PORT: 'tcp://10.96.0.7:6379',
      REDIS_PORT_6379_TCP: 'tcp://10.96.0.7:6379',
      REDIS_PORT_6379_TCP_ADDR: '10.96.0.7',
      REDIS_PORT_6379_TCP_PORT: '6379',
      REDIS_PORT_6379_TCP_PROTO: 'tcp',
      REDIS_SERVICE_HOST: '10.96.0.7',
      REDIS_SERVICE_PORT: '6379',
    }
    const told = await connectWith([
      [{ ...kubernetes, REDIS_URL: redis.url }],
      [kubernetes, { url: redis.url }],
      [kubernetes, { host: '127.0.0.1', port: redis.port }],
    ])
    const up = { state: 'up', user: 'default', db: '0', port: String(redis.port) }
    expect(told).toEqual([up, up, up])
  })

  it('a URL counts whole: host and port beside it that say something else never get its password', async () => {
    await other.command('CONFIG', 'RESETSTAT')
    const url = `redis://ada:${encodeURIComponent('p@ss:/#%w')}@127.0.0.1:${redis.port}`
    const [same, otherPort] = await connectWith([
      [{ REDIS_URL: url, REDIS_HOST: '127.0.0.1', REDIS_PORT: String(redis.port) }],
      [{ REDIS_URL: url, REDIS_HOST: '127.0.0.1', REDIS_PORT: String(other.port) }],
    ])
    expect(same).toMatchObject({ state: 'up', user: 'ada', port: String(redis.port) })
    // Either the whole URL counts, or an error says that the two disagree. The other server must get no credentials.
    if (otherPort?.state === 'up') expect(otherPort).toMatchObject({ user: 'ada', port: String(redis.port) })
    else
      expect(otherPort).toMatchObject({
        code: 'INVALID_OPTION',
        message: expect.stringMatching(/REDIS_(HOST|PORT)/),
      })
    expect(await other.info('rejected_connections')).toBe('0')
    expect(String(await other.command('INFO', 'commandstats'))).not.toMatch(/cmdstat_(auth|hello)/)
  })

  it('empty variables are none', async () => {
    const [told] = await connectWith([
      [
        {
          REDIS_URL: redis.url,
          REDIS_HOST: '',
          REDIS_PORT: '',
          REDIS_PASSWORD: '',
          REDIS_DB: '',
          REDIS_TLS: '',
        },
      ],
    ])
    expect(told).toMatchObject({ state: 'up' })
  })
})

describe('URLs of every form', () => {
  it('are understood', async () => {
    const password = encodeURIComponent('p@ss:/#%w')
    const at = `127.0.0.1:${redis.port}`
    const told = await connectWith([
      [{}, { url: `redis://${at}` }],
      [{}, { url: `redis://${at}/` }],
      [{}, { url: `redis://${at}/2` }],
      [{}, { url: `redis://ada:${password}@${at}/4` }],
      [{}, { url: `redis://localhost:${redis.port}` }],
      [{}, { url: `redis://default:@${at}` }],
    ])
    expect(told.map(({ state, user, db }) => [state, user, db])).toEqual([
      ['up', 'default', '0'],
      ['up', 'default', '0'],
      ['up', 'default', '2'],
      ['up', 'ada', '4'],
      ['up', 'default', '0'],
      ['up', 'default', '0'],
    ])
  })

  it('or refused by name, without the secret that they hold', async () => {
    const told = await connectWith([
      [{}, { url: 'redis://default:sEcret%@127.0.0.1:6379' }],
      [{}, { url: 'redis://default:9876/sEcretKey@127.0.0.1' }],
      [{}, { url: 'http://default:sEcret@127.0.0.1' }],
      [{ REDIS_CLUSTER_MODE: 'true', REDIS_CLUSTER_NODES: 'default:sEcret@10.0.0.1:6379' }],
      [{ REDIS_URL: 'redis://default:sEcret@127.0.0.1:port' }],
    ])
    for (const each of told) {
      expect(each.code).toBe('INVALID_OPTION')
      expect(JSON.stringify(each)).not.toMatch(/sEcret/)
    }
  })
})
