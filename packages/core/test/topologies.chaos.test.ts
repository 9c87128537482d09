import {
  everyClientLibrary,
  type RedisCluster,
  type SentinelDeployment,
  slotOf,
  startCluster,
  startRedis,
  startSentinel,
  until,
} from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ConnectOptions, connect, defineScript } from '../src/index.js'
import { allInTime, answersAgain, timed, watchRejections } from './support/calls.js'

const deadlineMs = 1_000
/** Of connections whose test is about something else: a machine with other work to do takes several times as long. */
const patience = { commandTimeout: 10_000, connectionTimeout: 15_000 }

async function withoutRejections(test: () => Promise<void>): Promise<void> {
  const rejections = watchRejections()
  await test()
  expect(rejections.seen).toEqual([])
  rejections.stop()
}

describe.each(everyClientLibrary)('with $name', ({ load }) => {
  const library = async () => (await load()) as object

  describe('behind Sentinel', () => {
    let deployment: SentinelDeployment

    beforeAll(async () => {
      deployment = await startSentinel({ replicas: 2, downAfterMs: 300 })
    })
    afterAll(() => deployment.close())

    const open = async (options: ConnectOptions = { commandTimeout: deadlineMs }) =>
      connect({
        sentinel: { nodes: deployment.sentinels, name: deployment.name },
        library: await library(),
        ...patience,
        ...options,
      })

    it('writes to the primary, and follows it when an operator fails it over', () =>
      withoutRejections(async () => {
        await using redis = await open()
        expect(await redis.command(['SET', 'k', 'before'])).toBe('OK')
        await deployment.failover()
        expect(await answersAgain(redis, 1_000)).toBeLessThan(1_000)
        const [role] = (await redis.command(['ROLE'])) as unknown[]
        expect(role).toBe('master')
      }))

    it('finds the new primary when the old one freezes', () =>
      withoutRejections(async () => {
        await using redis = await open()
        const frozen = await deployment.primary()
        frozen.freeze()
        await allInTime(deadlineMs, () => [timed(redis.command(['SET', 'k', 'lost']))])
        const promoted = await until(async () => {
          const primary = await deployment.primary()
          return primary.port !== frozen.port && primary
        }, 10_000)
        await until(async () => (await promoted.info('role')) === 'master', 5_000)
        expect(await answersAgain(redis, 1_500)).toBeLessThan(1_500)
        frozen.resume()
        expect(await redis.command(['SET', 'k', 'kept'])).toBe('OK')
        // The server that was frozen considers itself the primary until the sentinels demote it.
        await deployment.settled()
      }))

    it('reads from a replica what may be stale', () =>
      withoutRejections(async () => {
        await using redis = await open({ readFrom: 'replica' })
        await redis.command(['SET', 'replicated', 'yes'])
        const role = () => redis.command(['ROLE'], { readOnly: true })
        await until(async () => String(((await role()) as unknown[])[0]) === 'slave', 15_000)
        await until(
          async () => (await redis.command(['GET', 'replicated'], { readOnly: true })) === 'yes',
          5_000,
        )
      }))
  })

  describe('on a Cluster', () => {
    let cluster: RedisCluster

    beforeAll(async () => {
      cluster = await startCluster({ nodeTimeoutMs: 1_000 })
    })
    afterAll(() => cluster.close())

    const open = async (options: ConnectOptions = {}) =>
      connect({
        cluster: { nodes: cluster.rootNodes },
        library: await library(),
        ...patience,
        ...options,
      })

    it('reaches every slot, and every script on every node', () =>
      withoutRejections(async () => {
        await using redis = await open()
        const write = defineScript({ name: 'write', lua: "return redis.call('SET', KEYS[1], ARGV[1])" })
        for (let index = 0; index < 50; index++) {
          const key = `{user:${index}}:k`
          expect(await redis.run(write, [key], [String(index)])).toBe('OK')
          expect(await redis.command(['GET', key], { key, readOnly: true })).toBe(String(index))
        }
      }))

    it('carries messages between two connections', () =>
      withoutRejections(async () => {
        await using one = await open()
        await using other = await open()
        const heard: string[] = []
        await one.subscribe('news', (message) => heard.push(message))
        await other.publish('news', 'hello')
        await until(async () => heard.length > 0, 10_000, { everyMs: 20 })
        expect(heard).toEqual(['hello'])
      }))

    it('hears again on a channel whose slot has moved', () =>
      withoutRejections(async () => {
        await using one = await open()
        await using other = await open()
        const heard: string[] = []
        let gaps = 0
        await one.subscribe('moving-news', (message) => heard.push(message), { onGap: () => gaps++ })
        const known = gaps
        const from = await cluster.nodeFor('evenkeel:moving-news')
        const owners = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((key) => cluster.nodeFor(key)))
        const to = owners.find(({ port }) => port !== from.port) ?? from
        expect(to).not.toBe(from)
        await cluster.moveSlot(slotOf('evenkeel:moving-news'), to)
        await until(
          async () => {
            await other.publish('moving-news', 'after')
            return heard.includes('after') && gaps > known
          },
          10_000,
          { everyMs: 100 },
        )
      }))

    it('follows a slot that moves while it is used', () =>
      withoutRejections(async () => {
        await using redis = await open()
        const key = '{moving}:n'
        await redis.command(['SET', key, '0'], { key })
        const from = await cluster.nodeFor(key)
        const to = await cluster.nodeFor('{elsewhere}')
        expect(to.port).not.toBe(from.port)
        const counting = (async () => {
          for (let count = 1; count <= 200; count++) {
            expect(await redis.command(['INCR', key], { key })).toBe(count)
          }
        })()
        await cluster.moveSlot(slotOf(key), to)
        await counting
      }))

    it('promise 1: answers in time while a primary is dead, and uses its successor', () =>
      withoutRejections(async () => {
        await using redis = await open({ commandTimeout: deadlineMs })
        const key = '{orphan}:k'
        await redis.command(['SET', key, 'v'], { key })
        const dead = await cluster.killPrimaryOf(key)
        let served = false
        await until(async () => {
          const [outcome] = await allInTime(deadlineMs, () => [
            timed(redis.command(['SET', key, 'v'], { key })),
          ])
          served = outcome?.reply === 'OK'
          return served
        }, 12_000)
        await dead.restart()
        await cluster.waitUntilOk()
      }))
  })
})

describe('TLS, users and databases', () => {
  it.each(everyClientLibrary)('$name connects by TLS with a user of its own', async ({ load }) => {
    const server = await startRedis({ tls: true, password: 'secret' })
    await server.command('ACL', 'SETUSER', 'app', 'on', '>hunter2', '~evenkeel:*', '&*', '+@all')
    const options = { library: (await load()) as object, tls: { ca: server.tls?.ca ?? '' } }
    const url = server.url.replace(/\/\/[^@]*@/, '//app:hunter2@')
    {
      await using redis = await connect({ ...options, url: `${url}/3` })
      expect(redis.state).toBe('up')
      expect(await redis.command(['ACL', 'WHOAMI'])).toBe('app')
      expect(await redis.command(['CLIENT', 'INFO'])).toContain(' db=3 ')
      await expect(redis.command(['GET', 'foreign'])).rejects.toMatchObject({ prefix: 'NOPERM' })
    }
    const wrong = url.replace('hunter2', 'wr0ng-c4nary')
    const refused = await connect({ ...options, url: wrong }).catch((error) => error)
    expect(refused.code).toBe('CREDENTIALS_REFUSED')
    expect(JSON.stringify(refused) + refused.stack).not.toContain('c4nary')
    await server.close()
  })
})

describe('a Cluster whose own addresses can not be reached', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.close())

  it.each(everyClientLibrary)('is reached by natMap with $name', async ({ load }) => {
    // As behind NAT: each address that a node reports is reached under another name of its host.
    const asked = new Set<string>()
    const natMap = (address: string) => {
      asked.add(address)
      return { host: 'localhost', port: Number(address.split(':').at(-1)) }
    }
    await using redis = await connect({
      cluster: { nodes: cluster.rootNodes, natMap },
      library: (await load()) as object,
      ...patience,
    })
    for (const key of ['{a}', '{b}', '{c}', '{d}', '{e}']) {
      expect(await redis.command(['SET', key, 'v'], { key })).toBe('OK')
    }
    expect(asked.size).toBeGreaterThanOrEqual(3)
  })
})
