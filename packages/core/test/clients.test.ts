import { everyClientLibrary, flavours, type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Connection, connect, ReplyError } from '../src/index.js'

/** Commands and their replies, which must be the same with every library and server. */
const conversations: readonly { name: string; commands: string[][]; replies: unknown[] }[] = [
  {
    name: 'hashes are flat arrays',
    commands: [
      ['HSET', 'h', 'a', '1', 'b', '2'],
      ['HGETALL', 'h'],
    ],
    replies: [2, ['a', '1', 'b', '2']],
  },
  {
    name: 'scores are text, pairs are flat',
    commands: [
      ['ZADD', 'z', '1.5', 'm', '2', 'n'],
      ['ZSCORE', 'z', 'm'],
      ['ZRANGE', 'z', '0', '-1', 'WITHSCORES'],
      ['ZPOPMIN', 'z'],
    ],
    replies: [2, '1.5', ['m', '1.5', 'n', '2'], ['m', '1.5']],
  },
  {
    name: 'streams are pairs of name and entries',
    commands: [
      ['XADD', 's', '1-1', 'f', 'v'],
      ['XREAD', 'STREAMS', 's', '0'],
    ],
    replies: ['1-1', [['s', [['1-1', ['f', 'v']]]]]],
  },
  {
    name: 'nothing is null, nested arrays keep their shape',
    commands: [
      ['GET', 'none'],
      ['EVAL', 'return {1, "two", {false, {3.7}}}', '0'],
      ['SISMEMBER', 'none', 'x'],
      ['MGET', 'none', 'none'],
    ],
    replies: [null, [1, 'two', [null, [3]]], 0, [null, null]],
  },
]

/** On a busy machine, a thousand commands take longer than one's usual deadline. */
const patience = { commandTimeout: '30s' } as const

const modes = everyClientLibrary.flatMap((library) => [
  {
    mode: `${library.name}, our own connection`,
    library,
    open: async (url: string) => {
      const redis = await connect({ url, library: (await library.load()) as object, ...patience })
      return { redis, end: () => redis.close() }
    },
  },
  {
    mode: `${library.name}, borrowed`,
    library,
    open: async (url: string) => {
      const client = await library.createClient(url)
      const redis = await connect({ client, ...patience })
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

describe.each(flavours())('on $name', (flavour) => {
  let server: RedisServer

  beforeAll(async () => {
    server = await startRedis({ flavour })
  })
  afterAll(() => server.close())

  describe.each(modes)('$mode', ({ open, library }) => {
    let redis: Connection
    let end: () => Promise<void>

    beforeAll(async () => {
      await server.command('FLUSHALL')
      const opened = await open(server.url)
      redis = opened.redis
      end = opened.end
    })
    afterAll(() => end())

    it.each(conversations)('$name', async ({ commands, replies }) => {
      const got = []
      for (const command of commands) got.push(await redis.command(command))
      expect(got).toEqual(replies)
    })

    it('keeps bytes as bytes', async () => {
      const bytes = Buffer.from([0, 255, 13, 10, 128, 1])
      await redis.command(['SET', bytes, bytes])
      expect(await redis.command(['GET', bytes], { buffers: true })).toEqual(bytes)
      expect(await redis.command(['MGET', bytes, 'none'], { buffers: true })).toEqual([bytes, null])
    })

    it('carries a value of a megabyte', async () => {
      const large = 'x'.repeat(1 << 20)
      await redis.command(['SET', 'large', large])
      expect(await redis.command(['GET', 'large'])).toBe(large)
    })

    it('answers a thousand commands, in the order in which they were sent where the library keeps it', async () => {
      await redis.command(['DEL', 'n'])
      const counts = await Promise.all(Array.from({ length: 1_000 }, () => redis.command(['INCR', 'n'])))
      // valkey-glide sends concurrent commands in an order of its own.
      if (library.kind === 'valkey-glide') counts.sort((one, other) => Number(one) - Number(other))
      expect(counts).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1))
    })

    it("gives the server's own errors to the caller, and stays up", async () => {
      await redis.command(['SET', 'text', 'x'])
      const error = await redis.command(['HGET', 'text', 'f']).catch((caught) => caught)
      expect(error).toBeInstanceOf(ReplyError)
      expect(error).toMatchObject({ code: 'REDIS_REPLY', prefix: 'WRONGTYPE', command: 'HGET' })
      expect(redis.state).toBe('up')
    })

    it('refuses arguments that are neither text nor bytes', async () => {
      const wrong = ['SET', 'k', undefined] as unknown as string[]
      await expect(redis.command(wrong)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
      const number = ['SET', 'k', 1] as unknown as string[]
      await expect(redis.command(number)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    })

    it('hears what it publishes', async () => {
      const heard: string[] = []
      const arrived = new Promise<void>((resolve) => {
        void redis
          .subscribe('news', (message, channel) => {
            heard.push(`${channel}: ${message}`)
            resolve()
          })
          .then(() => redis.publish('news', 'hello'))
      })
      await arrived
      expect(heard).toEqual(['news: hello'])
    })
  })
})
