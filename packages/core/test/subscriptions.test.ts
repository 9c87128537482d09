import { everyClientLibrary, type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { createClientPool } from 'redis5'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Connection, connect } from '../src/index.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

const modes = everyClientLibrary.flatMap((library) => [
  {
    mode: `${library.name}, our own connection`,
    open: async () => {
      const redis = await connect({ url: server.url, library: (await library.load()) as object })
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

describe.each(modes)('a channel by $mode', ({ open }) => {
  let redis: Connection
  let end: () => Promise<unknown>

  beforeAll(async () => {
    const opened = await open()
    redis = opened.redis
    end = opened.end
  })
  afterAll(() => end())

  const hears = async (heard: unknown[]) => {
    const before = heard.length
    await redis.publish('news', 'x')
    await until(() => heard.length > before, 5_000)
  }

  it('that is left and entered again hears, whether or not the leaving is confirmed', async () => {
    const first = await redis.subscribe('news', () => {})
    const closing = first.close()
    const heard: string[] = []
    const second = await redis.subscribe('news', (message) => heard.push(message))
    await closing
    await hears(heard)
    await second.close()
    const again: string[] = []
    const third = await redis.subscribe('news', (message) => again.push(message))
    await hears(again)
    expect(heard).toHaveLength(1)
    await third.close()
  })

  it('that is entered and left many times at once ends as the last call says', async () => {
    const heard: string[] = []
    const rounds = Array.from({ length: 20 }, async () => {
      const subscription = await redis.subscribe('news', () => {})
      await subscription.close()
    })
    const last = redis.subscribe('news', (message) => heard.push(message))
    await Promise.all(rounds)
    const subscription = await last
    await hears(heard)
    await subscription.close()
    const channel = `${redis.namespace}news`
    await until(
      async () => Number(((await server.command('PUBSUB', 'NUMSUB', channel)) as unknown[])[1]) === 0,
      5_000,
    )
  })
})

it.each(everyClientLibrary)(
  'a subscription that is being opened when the server of a client of $name freezes keeps no process alive',
  async (library) => {
    const own = await startRedis()
    // valkey-glide keeps its TCP connections in native code, with a pipe to each.
    const sockets = () =>
      process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'PipeWrap')
        .length
    const before = sockets()
    const client = await library.createClient(own.url)
    const redis = await connect({ client })
    own.freeze()
    const subscribing = redis.subscribe('news', () => {})
    await until(() => sockets() > before + 1, 5_000)
    await redis.close()
    await library.closeClient(client)
    await subscribing
    await until(() => sockets() <= before, 5_000)
    own.resume()
    await own.close()
  },
)
