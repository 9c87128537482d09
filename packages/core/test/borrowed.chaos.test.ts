import {
  everyClientLibrary,
  type FaultProxy,
  type RawClient,
  type RedisServer,
  startProxy,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Connection, connect } from '../src/index.js'
import { allInTime, allInTimeAtBest, answersAgain, timed, watchRejections } from './support/calls.js'

const deadlineMs = 300

interface Listening {
  /** Absent in a library whose clients emit no events. */
  listeners?(event: string): unknown[]
}

describe.each(everyClientLibrary)("the host's own client of $name", (library) => {
  let server: RedisServer
  let proxy: FaultProxy
  let client: RawClient
  let redis: Connection
  let rejections: ReturnType<typeof watchRejections>

  beforeEach(async () => {
    rejections = watchRejections()
    server = await startRedis()
    proxy = await startProxy({ host: server.host, port: server.port })
    client = await library.createClient(proxy.url)
    redis = await connect({ client, commandTimeout: deadlineMs })
  })
  afterEach(async () => {
    await redis.close()
    await library.closeClient(client)
    await proxy.close()
    await server.close()
    expect(rejections.seen).toEqual([])
    rejections.stop()
  })

  it('promise 7: stays open, with the listeners that its host gave it, when we close', async () => {
    const other = await library.createClient(proxy.url)
    const events = ['error', 'ready', 'end', 'close', 'reconnecting']
    const count = () => events.map((name) => (other as unknown as Listening).listeners?.(name).length)
    const before = count()
    const borrowed = await connect({ client: other })
    expect(borrowed.state).toBe('up')
    await borrowed.close()
    expect(count()).toEqual(before)
    expect(await other.ping()).toBe('PONG')
    await library.closeClient(other)
  })

  it('promise 1: answers thousands of calls in time when the server freezes, and uses it again', async () => {
    const outcomes = await allInTimeAtBest(
      deadlineMs,
      () => {
        server.freeze()
        return Array.from({ length: library.mostInFlight }, () => timed(redis.command(['GET', 'k'])))
      },
      async () => {
        server.resume()
        await until(() => redis.state === 'up' && redis.inFlight === 0, 10_000)
      },
    )
    expect(new Set(outcomes.map(({ code }) => code))).toEqual(new Set(['COMMAND_TIMEOUT']))
    expect((await timed(redis.command(['GET', 'k']))).code).toBe('CONNECTION_DOWN')
    server.resume()
    expect(await answersAgain(redis, 1_000)).toBeLessThan(1_000)
    await until(() => redis.inFlight === 0, 1_000)
  })

  it('promise 5: asks a frozen server one question at a time, so that nothing piles up in the client', async () => {
    server.freeze()
    await timed(redis.command(['GET', 'k']))
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    server.resume()
    await answersAgain(redis, 1_000)
    const pings = String(await server.command('INFO', 'commandstats')).match(/cmdstat_ping:calls=(\d+)/)?.[1]
    // One at connect(), and one while the server was frozen; ioredis may send one of its own.
    expect(Number(pings)).toBeLessThanOrEqual(4)
  })

  it('is not used while it reconnects, and nothing waits in its own queue', async () => {
    await proxy.refuse()
    // A client of valkey-glide has neither events nor a state: the first command shows that its server is gone.
    if (library.kind === 'valkey-glide')
      expect((await timed(redis.command(['GET', 'k']))).code).toMatch(/TIMEOUT|UNKNOWN/)
    await until(() => redis.state === 'down', 2_000)
    const [outcome] = await allInTime(0, () => [timed(redis.command(['SET', 'ghost', '1']))])
    expect(outcome?.code).toBe('CONNECTION_DOWN')
    await proxy.restore()
    await until(() => redis.state === 'up', 5_000)
    expect(await redis.command(['GET', 'ghost'])).toBe(null)
  })
})

it('a client that is not connected yet is used as soon as it is', async () => {
  const server = await startRedis()
  const { createClient } = await import('redis')
  const client = createClient({ url: server.url })
  client.on('error', () => {})
  const redis = await connect({ client })
  expect(redis.state).toBe('down')
  await client.connect()
  await until(() => redis.state === 'up', 1_000)
  expect(await redis.command(['PING'])).toBe('PONG')
  await redis.close()
  await client.disconnect()
  await server.close()
})
