import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  everyClientLibrary,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isOutage } from '../src/failover/is-outage.js'
import { connect, InvalidOptionError } from '../src/index.js'
import { answersAgain } from './support/calls.js'

const returnMs = 30_000
const timeouts = { commandTimeout: '5s', connectionTimeout: '5s' } as const

/** As operators do it: both passwords are valid, the services get the new one, the old one is removed. */
async function addPassword(servers: readonly RedisServer[], password: string): Promise<void> {
  for (const server of servers) {
    await server.command('ACL', 'SETUSER', 'app', 'on', `>${password}`, '~*', '&*', '+@all')
  }
}

async function removePassword(servers: readonly RedisServer[], password: string): Promise<void> {
  for (const server of servers) await server.command('ACL', 'SETUSER', 'app', `<${password}`)
}

/** Ends the connections of the user, as a restart or a failover does. */
async function endConnections(server: RedisServer): Promise<void> {
  await server.command('CLIENT', 'KILL', 'USER', 'app')
}

describe.each(everyClientLibrary)('a rotated password with $name', ({ load }) => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.close())

  it('is used by the next connection', async () => {
    await using server = await startRedis()
    await addPassword([server], 'old')
    let current = 'old'
    const library = (await load()) as object
    await using redis = await connect({
      ...timeouts,
      url: server.url,
      username: 'app',
      password: async () => current,
      library,
    })
    await addPassword([server], 'new')
    current = 'new'
    await removePassword([server], 'old')
    await endConnections(server)
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
    expect(await redis.command(['ACL', 'WHOAMI'])).toBe('app')
  })

  it('may reach the service after the old one was removed', async () => {
    await using server = await startRedis()
    await addPassword([server], 'old')
    let current = 'old'
    const library = (await load()) as object
    await using redis = await connect({
      ...timeouts,
      url: server.url,
      username: 'app',
      password: () => current,
      library,
    })
    await addPassword([server], 'new')
    await removePassword([server], 'old')
    await endConnections(server)
    await until(
      async () => {
        await redis.command(['GET', 'k']).catch(() => {})
        return redis.state === 'down'
      },
      returnMs,
      { everyMs: 50 },
    )
    current = 'new'
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
  })

  it('is used for each node of a Cluster', async () => {
    await addPassword(cluster.nodes, 'old')
    let current = 'old'
    const library = (await load()) as object
    await using redis = await connect({
      ...timeouts,
      cluster: { nodes: cluster.rootNodes },
      username: 'app',
      password: () => current,
      library,
    })
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    const writeAll = async () => {
      for (const key of keys) await redis.command(['SET', key, 'v'], { key })
    }
    await writeAll()
    await addPassword(cluster.nodes, 'new')
    current = 'new'
    await removePassword(cluster.nodes, 'old')
    // One node at a time, as in a failover: the client still has the others.
    for (const node of cluster.nodes) {
      await endConnections(node)
      await until(
        () =>
          writeAll().then(
            () => true,
            (error) => {
              // An outage like any other, for which a package answers from memory.
              expect(isOutage(error)).toBe(true)
              return false
            },
          ),
        returnMs,
        { everyMs: 50, what: `all nodes answer after ${node.port} ended its connections` },
      )
    }
    await removePassword(cluster.nodes, 'new')
  })
})

describe('REDIS_PASSWORD_FILE', () => {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-password-'))
  const file = join(folder, 'redis-password')
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('is read for each new connection, without the newline at its end', async () => {
    await using server = await startRedis()
    await addPassword([server], 'old')
    writeFileSync(file, 'old\n')
    const env = { REDIS_URL: server.url, REDIS_USERNAME: 'app', REDIS_PASSWORD_FILE: file }
    await using redis = await connect(timeouts, env)
    expect(await redis.command(['ACL', 'WHOAMI'])).toBe('app')
    await addPassword([server], 'new')
    writeFileSync(file, 'new\n')
    await removePassword([server], 'old')
    await endConnections(server)
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
  })

  it('that is missing for a while costs its attempts, not the connection', async () => {
    await using server = await startRedis()
    await addPassword([server], 'old')
    writeFileSync(file, 'old')
    const env = { REDIS_URL: server.url, REDIS_USERNAME: 'app', REDIS_PASSWORD_FILE: file }
    await using redis = await connect(timeouts, env)
    rmSync(file)
    await endConnections(server)
    await until(() => redis.state === 'down' && /ENOENT|password/.test(redis.downReason ?? ''), returnMs)
    writeFileSync(file, 'old')
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
  })

  it.each([
    ['a file that is not there', { REDIS_PASSWORD_FILE: join(folder, 'none') }, 'REDIS_PASSWORD_FILE'],
    ['a password beside it', { REDIS_PASSWORD_FILE: file, REDIS_PASSWORD: 'p' }, 'REDIS_PASSWORD_FILE'],
  ])('is refused with %s', async (_, env, field) => {
    writeFileSync(file, 'old')
    const refused = await connect({}, { REDIS_URL: 'redis://127.0.0.1:1', ...env }).catch((error) => error)
    expect(refused).toBeInstanceOf(InvalidOptionError)
    expect(refused.field).toBe(field)
  })
})
