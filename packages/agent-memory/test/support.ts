import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Connection, connect } from '@evenkeel/core'
import { type FaultProxy, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll } from 'vitest'
import { type AgentMemory, type AgentMemoryOptions, createAgentMemory, type Message } from '../src/index.js'

export interface Instance {
  readonly redis: Connection
  readonly memory: AgentMemory
  readonly proxy: FaultProxy
  cutOff(): Promise<void>
  back(): Promise<void>
}

export const user = (id: string, content = `message ${id}`): Message => ({ id, role: 'user', content })
export const soon = () => ({ signal: AbortSignal.timeout(5_000) })

/** A Redis for a file's tests, and instances of a memory on it, each behind its own proxy, closed after each test. */
export function useRedis(options: Parameters<typeof startRedis>[0] = {}) {
  let server: RedisServer
  let end: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    server = await startRedis(options)
  })
  afterEach(async () => {
    for (const close of end.reverse()) await close()
    end = []
    await server.command('FLUSHALL')
  })
  afterAll(async () => {
    await server.close()
  })

  return {
    get server() {
      return server
    },
    async instance(own: Omit<AgentMemoryOptions, 'redis'> = {}): Promise<Instance> {
      const proxy = await startProxy({ host: server.host, port: server.port })
      // No test here is about a deadline: one that a busy machine passes would be an outage.
      const redis = await connect({ url: proxy.url, commandTimeout: 10_000 })
      const memory = createAgentMemory({ redis, ...own })
      end.push(
        () => proxy.close(),
        () => redis.close(),
        () => memory.close(),
      )
      return {
        redis,
        memory,
        proxy,
        cutOff: async () => {
          await proxy.refuse()
          await until(() => memory.status().state === 'fallback', 2_000)
        },
        back: async () => {
          await proxy.restore()
          await until(() => memory.status().state === 'primary', 5_000)
        },
      }
    },
    /** Calls this when the test ends. */
    atEnd(close: () => Promise<unknown>) {
      end.push(close)
    },
    async folder(): Promise<string> {
      const dir = await mkdtemp(join(tmpdir(), 'evenkeel-'))
      end.push(() => rm(dir, { recursive: true, force: true }))
      return dir
    },
  }
}

export const threadOf = (memory: AgentMemory, thread = 't') => memory.owner('o').thread(thread)
export const idsOf = async (memory: AgentMemory, thread = 't') =>
  (await threadOf(memory, thread).window({ maxMessages: 1_000 })).messages.map(({ id }) => id)
