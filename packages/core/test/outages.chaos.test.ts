import {
  breakDisk,
  everyClientLibrary,
  type FaultProxy,
  fillMemory,
  type RedisServer,
  startProxy,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Connection, connect, defineScript } from '../src/index.js'
import { allInTime, allInTimeAtBest, answersAgain, timed, watchRejections } from './support/calls.js'

const deadlineMs = 300
/** How soon after its return Redis must be used again. */
const returnMs = 1_000

describe.each(everyClientLibrary)('with $name', ({ kind, load, mostInFlight }) => {
  let server: RedisServer
  let proxy: FaultProxy
  let redis: Connection
  let rejections: ReturnType<typeof watchRejections>

  beforeEach(async () => {
    rejections = watchRejections()
    server = await startRedis()
    proxy = await startProxy({ host: server.host, port: server.port })
    redis = await open(server.url)
  })
  afterEach(async () => {
    await redis.close()
    await proxy.close()
    await server.close()
    expect(rejections.seen).toEqual([])
    rejections.stop()
  })

  const open = async (url: string) =>
    connect({ url, library: (await load()) as object, commandTimeout: deadlineMs, connectionTimeout: 1_000 })

  const reopenThroughProxy = async () => {
    await redis.close()
    redis = await open(proxy.url)
  }

  it('promise 2: starts without Redis, and uses it once it is there', async () => {
    await redis.close()
    await server.kill()
    redis = await open(server.url)
    expect(redis.state).toBe('down')
    const [outcome] = await allInTime(0, () => [timed(redis.command(['GET', 'k']))])
    expect(outcome?.code).toBe('CONNECTION_DOWN')
    await server.restart()
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
    expect(redis.state).toBe('up')
  })

  it('promise 2: an outage breaks no caller when the server is killed', async () => {
    const events: string[] = []
    redis.on('down', () => events.push('down'))
    redis.on('up', () => events.push('up'))
    const inFlight = Array.from({ length: 100 }, () => timed(redis.command(['GET', 'k'])))
    await server.kill()
    await allInTime(deadlineMs, () => inFlight)
    await until(() => redis.state === 'down', 1_000)
    expect((await timed(redis.command(['GET', 'k']))).code).toBe('CONNECTION_DOWN')
    await server.restart({ empty: true })
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
    expect(events).toEqual(['down', 'up'])
  })

  it('promise 1: thousands of calls in flight when Redis freezes are all answered in time', async () => {
    await redis.command(['SET', 'k', 'v'])
    const outcomes = await allInTimeAtBest(
      deadlineMs,
      () => {
        server.freeze()
        return Array.from({ length: mostInFlight }, () => timed(redis.command(['GET', 'k'])))
      },
      async () => {
        server.resume()
        await until(() => redis.state === 'up' && redis.inFlight === 0, 10_000)
      },
    )
    expect(new Set(outcomes.map(({ code }) => code))).toEqual(new Set(['COMMAND_TIMEOUT']))
    expect(redis.state).toBe('down')
    const [next] = await allInTime(0, () => [timed(redis.command(['GET', 'k']))])
    expect(next?.code).toBe('CONNECTION_DOWN')
    server.resume()
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
    expect(await redis.command(['GET', 'k'])).toBe('v')
    expect(redis.inFlight).toBe(0)
  })

  it('gives up a socket that stays silent, and frees what the client held', async () => {
    await reopenThroughProxy()
    proxy.blackHole()
    await allInTime(deadlineMs, () => Array.from({ length: 50 }, () => timed(redis.command(['GET', 'k']))))
    await until(() => redis.inFlight === 0, 3 * deadlineMs)
    void proxy.restore()
    // An attempt to connect hangs in the black hole; it ends at the connection's own deadline.
    expect(await answersAgain(redis, 1_000 + returnMs)).toBeLessThan(1_000 + returnMs)
  })

  it('is back at once when only the connection was cut', async () => {
    await reopenThroughProxy()
    const inFlight = timed(redis.command(['GET', 'k']))
    proxy.cut()
    await allInTime(deadlineMs, () => [inFlight])
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
  })

  it('says of a command whose reply was lost that it may have run, and sends nothing twice', async () => {
    await reopenThroughProxy()
    await redis.command(['SET', 'n', '0'])
    proxy.dropReplies(1, ([name]) => name === 'INCR')
    const outcome = await timed(redis.command(['INCR', 'n']))
    expect(outcome.code).toBe('COMMAND_UNKNOWN')
    await answersAgain(redis, returnMs)
    expect(await redis.command(['GET', 'n'])).toBe('1')
  })

  it('runs its scripts on a server that has forgotten them', async () => {
    const script = defineScript({ name: 'echo', lua: 'return ARGV[1]' })
    expect(await redis.run(script, ['k'], ['one'])).toBe('one')
    await server.command('SCRIPT', 'FLUSH')
    expect(await redis.run(script, ['k'], ['two'])).toBe('two')
    await server.restart({ empty: true })
    await answersAgain(redis, returnMs)
    expect(await redis.run(script, ['k'], ['three'])).toBe('three')
  })

  it.each([
    ['memory is full', fillMemory, 'OOM'],
    ['the disk is full', breakDisk, 'MISCONF'],
  ] as const)('takes a refusal for an outage when %s', async (_, breakServer, prefix) => {
    const fault = await breakServer(server)
    const [outcome] = await allInTime(deadlineMs, () => [timed(redis.command(['SET', 'k', 'v']))])
    expect(outcome?.code).toBe('REDIS_REFUSED')
    const message = await redis.command(['SET', 'k', 'v']).catch((error) => error.message)
    expect(message).toContain(redis.state === 'up' ? prefix : 'Redis is down')
    await fault.undo()
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
  })

  it('waits no longer for a paused server than its deadline', async () => {
    await server.command('CLIENT', 'PAUSE', '800')
    await allInTime(deadlineMs, () => [timed(redis.command(['SET', 'k', 'v']))])
    expect(await answersAgain(redis, 800 + returnMs)).toBeLessThan(800 + returnMs)
  })

  it('survives a script that an operator had to kill', async () => {
    await server.command('CONFIG', 'SET', 'busy-reply-threshold', '50')
    const endless = defineScript({ name: 'endless', lua: 'while true do end' })
    const running = timed(redis.run(endless, ['k'], []))
    const other = timed(redis.command(['GET', 'k']))
    await allInTime(deadlineMs, () => [running, other])
    await server.command('SCRIPT', 'KILL')
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
  })

  it('stays down, and says why, while the password is wrong', async () => {
    await server.command('CONFIG', 'SET', 'requirepass', 'changed')
    await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    // valkey-glide reports neither that a connection has ended nor why none can be opened.
    const reason = kind === 'valkey-glide' ? /AUTH|PASS|timed out|handshake|TIMEOUT|silent/i : /AUTH|PASS/i
    if (kind === 'valkey-glide') await timed(redis.command(['GET', 'k']))
    await until(() => redis.state === 'down' && reason.test(redis.downReason ?? ''), 3_000)
    await server.command('CONFIG', 'SET', 'requirepass', '')
    expect(await answersAgain(redis, returnMs)).toBeLessThan(returnMs)
  })

  it('promise 5: a hundred outages leave nothing behind', async () => {
    await reopenThroughProxy()
    const outage = async () => {
      const call = timed(redis.command(['GET', 'k']))
      proxy.cut()
      await call
      await until(() => redis.state === 'up', 2_000, { everyMs: 2 })
    }
    for (let round = 0; round < 10; round++) await outage()
    const before = heapUsed()
    for (let round = 0; round < 100; round++) await outage()
    expect(redis.inFlight).toBe(0)
    await until(() => proxy.connections <= 1, 5_000)
    expect(heapUsed() - before).toBeLessThan(4 << 20)
  })
})

/** Bytes of heap in use after a garbage collection, which needs no flag of Node. */
function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

const collectGarbage = await (async () => {
  const { setFlagsFromString } = await import('node:v8')
  const { runInNewContext } = await import('node:vm')
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
})()
