import {
  everyClientLibrary,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
} from '@evenkeel/test-servers'
import { Redis } from 'ioredis'
import { createClientPool } from 'redis5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Connection, connect, TransactionError } from '../src/index.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

describe('commands that would change or hold up the shared connection', () => {
  let redis: Connection

  beforeAll(async () => {
    redis = await connect({ url: server.url })
  })
  afterAll(() => redis.close())

  const refusalOf = async (args: readonly unknown[]) => {
    const error = await redis.command(args as string[]).catch((caught) => caught)
    expect(error).toMatchObject({ code: 'INVALID_INPUT' })
    return String(error.message)
  }

  it.each([
    [['MULTI'], 'redis.transaction'],
    [['multi'], 'redis.transaction'],
    [[Buffer.from('Multi')], 'redis.transaction'],
    [['EXEC'], 'redis.transaction'],
    [['DISCARD'], 'redis.transaction'],
    [['WATCH', 'k'], 'redis.transaction'],
    [['UNWATCH'], 'redis.transaction'],
    [['SELECT', '1'], 'database'],
    [['SUBSCRIBE', 'c'], 'redis.subscribe'],
    [['PSUBSCRIBE', 'c*'], 'redis.subscribe'],
    [['SSUBSCRIBE', 'c'], 'redis.subscribe'],
    [['UNSUBSCRIBE'], 'redis.subscribe'],
    [['AUTH', 'c4nary'], 'connect()'],
    [['HELLO', '3'], 'connect()'],
    [['QUIT'], 'redis.close'],
    [['RESET'], 'redis.close'],
    [['READONLY'], 'readFrom'],
    [['MONITOR'], 'client of your own'],
    [['PSYNC', '?', '-1'], 'client of your own'],
    [['CLIENT', 'REPLY', 'OFF'], 'client of your own'],
    [['client', 'tracking', 'on'], 'client of your own'],
    [['SCRIPT', 'DEBUG', 'YES'], 'client of your own'],
    [['BLPOP', 'k', '0'], 'client of your own'],
    [['BLMOVE', 'a', 'b', 'LEFT', 'LEFT', '0'], 'client of your own'],
    [['BZPOPMIN', 'k', '0'], 'client of your own'],
    [['WAIT', '1', '0'], 'client of your own'],
    [['XREAD', 'COUNT', '1', 'block', '0', 'STREAMS', 's', '0'], 'client of your own'],
    [['XREADGROUP', 'GROUP', 'g', 'c', 'BLOCK', '0', 'STREAMS', 's', '>'], 'client of your own'],
  ])('%j is refused with a pointer to %s', async (args, pointer) => {
    const message = await refusalOf(args)
    expect(message).toContain(pointer)
    expect(message).not.toContain('c4nary')
  })

  it('those of the same names that change nothing are sent', async () => {
    expect(await redis.command(['CLIENT', 'ID'])).toBeTypeOf('number')
    expect(await redis.command(['XREAD', 'STREAMS', 'block', '0'])).toBe(null)
    expect(await redis.command(['SCRIPT', 'EXISTS', 'abc'])).toEqual([0])
  })

  it.each([
    ['a bare string', 'PING'],
    ['nothing', []],
    ['undefined', undefined],
    ['a number', ['SET', 'k', 1]],
    ['an object', ['SET', 'k', {}]],
  ])('%s is no command', async (_, args) => {
    expect(await refusalOf(args as unknown[])).toMatch(/^command/)
  })

  it('leaves the connection as it was', async () => {
    await refusalOf(['MULTI'])
    expect(await redis.command(['SET', 'k', 'v'])).toBe('OK')
  })
})

const modes = everyClientLibrary.flatMap((library) => [
  {
    mode: `${library.name}, our own connection`,
    open: async () => {
      const redis = await connect({ url: server.url, library: (await library.load()) as object, poolSize: 3 })
      return { redis, end: () => redis.close() }
    },
  },
  {
    mode: `${library.name}, borrowed`,
    open: async () => {
      const client = await library.createClient(server.url)
      const redis = await connect({ client })
      return {
        redis,
        end: async () => {
          await redis.close()
          await library.closeClient(client)
        },
      }
    },
  },
])
modes.push({
  mode: 'a pool of node-redis 5, borrowed',
  open: async () => {
    const pool = createClientPool({ url: server.url })
    pool.on('error', () => {})
    await pool.connect()
    const redis = await connect({ client: pool })
    return {
      redis,
      end: async () => {
        await redis.close()
        pool.destroy()
      },
    }
  },
})
modes.push({
  mode: 'ioredis with a keyPrefix, borrowed',
  open: async () => {
    const client = new Redis(server.url, { keyPrefix: 'app:' })
    const redis = await connect({ client })
    return {
      redis,
      end: async () => {
        await redis.close()
        client.disconnect()
      },
    }
  },
})

describe.each(modes)('a transaction by $mode', ({ open }) => {
  let redis: Connection
  let end: () => Promise<unknown>

  beforeAll(async () => {
    await server.command('FLUSHALL')
    const opened = await open()
    redis = opened.redis
    end = opened.end
  })
  afterAll(() => end())

  it('executes its commands together, and gives the reply of each', async () => {
    const replies = await redis.transaction([
      ['SET', 'n', '1'],
      ['INCRBY', Buffer.from('n'), '41'],
      ['HSET', 'h', 'a', '1'],
      ['hgetall', 'h'],
      ['GET', 'none'],
    ])
    expect(replies).toEqual(['OK', 42, 1, ['a', '1'], null])
    expect(await server.command('GET', 'n')).toBe('42')
  })

  it('is never mixed with the commands of others', async () => {
    const rounds = Array.from({ length: 50 }, async () => {
      const [, both] = await Promise.all([
        redis.command(['INCR', 'other']),
        redis.transaction([
          ['INCR', 'one'],
          ['GET', 'one'],
        ]),
      ])
      expect(both[1]).toBe(String(both[0]))
    })
    await Promise.all(rounds)
    expect(await redis.command(['GET', 'other'])).toBe('50')
  })

  it('tells which command failed, and what became of the others', async () => {
    await redis.command(['SET', 'text', 'x'])
    const error = await redis
      .transaction([
        ['SET', 'before', '1'],
        ['LPUSH', 'text', 'y'],
        ['SET', 'after', '1'],
      ])
      .catch((caught) => caught)
    expect(error).toBeInstanceOf(TransactionError)
    expect(error).toMatchObject({ code: 'REDIS_REPLY', prefix: 'WRONGTYPE', command: 'LPUSH', index: 1 })
    expect(error.replies[0]).toBe('OK')
    expect(await redis.command(['MGET', 'before', 'after'])).toEqual(['1', '1'])
  })

  it('is refused as a whole when one of its commands is no command', async () => {
    const wrong = redis.transaction([
      ['SET', 'refused', '1'],
      ['NOSUCHCOMMAND', 'x'],
    ])
    await expect(wrong).rejects.toMatchObject({ code: 'REDIS_REPLY' })
    expect(await redis.command(['GET', 'refused'])).toBe(null)
    expect(await redis.command(['SET', 'k', 'v'])).toBe('OK')
  })

  it('takes no command that would end it or hold it up', async () => {
    for (const commands of [
      [],
      'SET',
      [['EXEC']],
      [
        ['SET', 'k', 'v'],
        ['BLPOP', 'k', '0'],
      ],
      [['SET', 'k', 1]],
    ]) {
      await expect(redis.transaction(commands as string[][])).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    }
  })

  it('has the outcomes of a command', async () => {
    const signal = AbortSignal.abort()
    await expect(redis.transaction([['GET', 'k']], { signal })).rejects.toMatchObject({
      code: 'COMMAND_ABORTED',
    })
    server.freeze()
    await expect(redis.transaction([['GET', 'k']], { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'COMMAND_TIMEOUT',
      outcome: 'unknown',
    })
    server.resume()
  })
})

describe('a transaction on a Cluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.close())

  it.each(everyClientLibrary)('is for keys of one slot with $name', async ({ load }) => {
    const library = (await load()) as object
    await using redis = await connect({
      cluster: { nodes: cluster.rootNodes },
      library,
      commandTimeout: 5_000,
    })
    for (const tag of ['{a}', '{b}', '{c}', '{d}']) {
      const replies = await redis.transaction([
        ['SET', `${tag}:n`, '1'],
        ['INCR', `${tag}:n`],
      ])
      expect(replies).toEqual(['OK', 2])
    }
    const apart = redis.transaction([
      ['SET', '{a}:x', '1'],
      ['SET', '{b}:x', '1'],
    ])
    await expect(apart).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect(await redis.command(['GET', '{a}:x'], { key: '{a}:x' })).toBe(null)
  })
})
