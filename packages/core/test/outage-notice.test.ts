import { startRedis, until } from '@evenkeel/test-servers'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ConnectionEvents } from '../src/connection/events.js'
import { reportOutages } from '../src/health/outage-notice.js'
import { connect } from '../src/index.js'
import { Emitter } from '../src/kit/emitter.js'

function recorder() {
  const lines: string[] = []
  return {
    lines,
    logger: {
      info: (line: string) => lines.push(`info ${line}`),
      warn: (line: string) => lines.push(`warn ${line}`),
    },
  }
}

describe('an outage', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  function watched() {
    const { lines, logger } = recorder()
    const emitter = new Emitter<ConnectionEvents>()
    const redis = { state: 'up' as const, downReason: 'the socket closed', on: emitter.on.bind(emitter) }
    reportOutages(redis, 'cache', logger)
    return {
      lines,
      down: () => emitter.emit('down', { reason: 'the socket closed' }),
      up: () => emitter.emit('up', { downForMs: 7_000 }),
      close: () => emitter.emit('close'),
    }
  }

  it('is reported at once where it is the first, and once, with its end', () => {
    const { lines, down, up } = watched()
    down()
    down()
    up()
    up()
    expect(lines).toEqual([
      "warn Redis (cache) can't be used: the socket closed. Until it can, evenkeel answers from memory.",
      'info Redis (cache) is used again after 7.0 s.',
    ])
  })

  it('is reported later only where it lasts', () => {
    const { lines, down, up } = watched()
    down()
    up()
    lines.length = 0
    for (let failover = 0; failover < 20; failover++) {
      down()
      vi.advanceTimersByTime(4_900)
      up()
    }
    expect(lines).toEqual([])
    down()
    vi.advanceTimersByTime(5_100)
    expect(lines).toHaveLength(1)
    vi.advanceTimersByTime(3_600_000)
    up()
    expect(lines).toHaveLength(2)
  })

  it('that a closed connection is in is not reported', () => {
    const { lines, down, up, close } = watched()
    down()
    up()
    lines.length = 0
    down()
    close()
    vi.advanceTimersByTime(60_000)
    expect(lines).toEqual([])
  })
})

describe('a service whose Redis is away from the start', () => {
  const nowhere = 'redis://:c4nary@127.0.0.1:1'

  it('is warned by the process, once, with a code', async () => {
    const warnings: (Error & { code?: string })[] = []
    const listener = (warning: Error) => warnings.push(warning)
    process.on('warning', listener)
    await using redis = await connect({ url: nowhere })
    for (let call = 0; call < 50; call++) await redis.command(['GET', 'k']).catch(() => {})
    await until(() => warnings.length > 0, 2_000)
    process.off('warning', listener)
    expect(warnings.map(({ code }) => code)).toEqual(['EVENKEEL_REDIS_DOWN'])
    expect(warnings[0]?.message).toMatch(/127\.0\.0\.1:1.*ECONNREFUSED/)
    expect(warnings[0]?.message).not.toContain('c4nary')
  })

  it('is told by pino, and by console', async () => {
    const written: string[] = []
    const logger = pino({ level: 'info' }, { write: (line) => written.push(line) })
    await using redis = await connect({ url: nowhere, logger })
    expect(redis.state).toBe('down')
    expect(written.map((line) => JSON.parse(line))).toMatchObject([
      { level: 40, msg: expect.stringContaining('ECONNREFUSED') },
    ])
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    await using other = await connect({ url: nowhere, logger: console })
    expect(other.state).toBe('down')
    expect(warn).toHaveBeenCalledTimes(1)
    warn.mockRestore()
  })

  it('is not told beside the error that says it', async () => {
    const { lines, logger } = recorder()
    await expect(connect({ url: nowhere, required: true, logger })).rejects.toThrow('ECONNREFUSED')
    expect(lines).toEqual([])
  })

  it('can hear of it by an event too, and why', async () => {
    await using redis = await connect({ url: nowhere, logger: recorder().logger })
    const reasons: string[] = []
    redis.on('down', ({ reason }) => reasons.push(reason))
    const removed = redis.on('down', () => reasons.push('removed'))
    removed()
    await Promise.resolve()
    expect(reasons).toEqual([redis.downReason])
    expect(reasons[0]).toContain('ECONNREFUSED')
  })

  it('has a logger that throws, and runs', async () => {
    const logger = {
      info: () => {},
      warn: () => {
        throw new Error('disk full')
      },
    }
    await using redis = await connect({ url: nowhere, logger })
    expect(redis.state).toBe('down')
  })
})

it('a connection that is up has no reason to be down', async () => {
  await using server = await startRedis()
  await using redis = await connect({ url: server.url })
  expect(redis.downReason).toBeUndefined()
})
