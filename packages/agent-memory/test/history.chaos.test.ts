import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '@evenkeel/core'
import {
  type FaultProxy,
  type RedisServer,
  startCluster,
  startProxy,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AgentMemory, createAgentMemory } from '../src/index.js'
import { RedisThreadStore } from '../src/store.js'

const thread = { owner: 'o', thread: 't' }

interface Writer {
  readonly name: string
  readonly acknowledged: string[]
  stop(): Promise<void>
  close(): Promise<void>
}

/** Appends one message after the other, until told to stop; each receipt is an acknowledgement. */
async function startWriter(name: string, memory: AgentMemory, end: () => Promise<void>): Promise<Writer> {
  const acknowledged: string[] = []
  let running = true
  const writing = (async () => {
    for (let index = 0; running; index++) {
      const id = `${name}${index}`
      await memory.owner(thread.owner).thread(thread.thread).append({ id, role: 'user', content: id })
      acknowledged.push(id)
      await pause(1)
    }
  })()
  return {
    name,
    acknowledged,
    async stop() {
      running = false
      await writing
      await memory.flushed({ signal: AbortSignal.timeout(15_000) })
    },
    async close() {
      await memory.close()
      await end()
    },
  }
}

/** Every acknowledged message once, in its writer's order, at places without gaps; and nothing else. */
async function check(store: RedisThreadStore, writers: readonly Writer[]): Promise<void> {
  const { records, count } = await store.tail(thread, { maxMessages: 1e6, maxTokens: 1e12 })
  expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: count }, (_, index) => index + 1))
  for (const { name, acknowledged } of writers) {
    expect(records.map(({ id }) => id).filter((id) => id.startsWith(name))).toEqual(acknowledged)
  }
}

type Fault = (server: RedisServer, proxies: readonly FaultProxy[]) => Promise<void>

const faults: Record<string, Fault> = {
  killed: async (server) => {
    await server.kill()
    await pause(150)
    await server.restart()
  },
  frozen: async (server) => {
    await server.freeze()
    await pause(350)
    await server.resume()
  },
  'cut off': async (_, [proxy]) => {
    await proxy?.refuse()
    await pause(200)
    await proxy?.restore()
  },
  'cut for a moment': async (_, proxies) => {
    for (const proxy of proxies) proxy.cut()
  },
  'black-holed': async (_, [, proxy]) => {
    proxy?.blackHole()
    await pause(350)
    await proxy?.restore()
  },
  'robbed of replies': async (_, proxies) => {
    const dropped = proxies.map((proxy) =>
      proxy.dropReplies(2, ([name]) => name?.startsWith('EVAL') === true),
    )
    await Promise.race([Promise.all(dropped.map(({ done }) => done)), pause(1_000)])
  },
}

describe('promise 3: nothing acknowledged is lost, twice, or out of its writer’s order', () => {
  it('by three writers, through Redis killed, frozen, cut off, and robbed of replies', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...Object.keys(faults)), { minLength: 4, maxLength: 6 }),
        async (names) => {
          await using server = await startRedis({ args: { appendonly: 'yes', appendfsync: 'always' } })
          const proxies: FaultProxy[] = []
          const writers: Writer[] = []
          for (const name of ['a', 'b', 'c']) {
            const proxy = await startProxy({ host: server.host, port: server.port })
            const redis = await connect({ url: proxy.url, commandTimeout: 100 })
            proxies.push(proxy)
            writers.push(
              await startWriter(name, createAgentMemory({ redis }), async () => {
                await redis.close()
                await proxy.close()
              }),
            )
          }
          for (const name of names) {
            await faults[name]?.(server, proxies)
            await pause(100)
          }
          for (const proxy of proxies) await proxy.restore()
          // However slow the machine is: a writer that did nothing would prove nothing.
          await until(() => writers.every(({ acknowledged }) => acknowledged.length > 50), 10_000)
          for (const writer of writers) await writer.stop()
          await using redis = await connect({ url: server.url })
          await check(new RedisThreadStore(redis), writers)
          for (const writer of writers) await writer.close()
        },
      ),
      { numRuns: 3, endOnFailure: true },
    )
  })

  it('in a Cluster that fails over (promise 9)', async () => {
    await using cluster = await startCluster()
    const redis = await connect({ cluster: { nodes: cluster.rootNodes }, commandTimeout: 200 })
    const memory = createAgentMemory({ redis })
    const writer = await startWriter('a', memory, () => redis.close())
    await until(() => writer.acknowledged.length > 100, 5_000)
    // By hand, so that the replica has everything: replication itself is asynchronous.
    await cluster.failover(await cluster.nodeFor('evenkeel:agent-memory:{o}:t:t'))
    const after = writer.acknowledged.length
    await until(() => writer.acknowledged.length > after + 100, 10_000)
    await writer.stop()
    await check(new RedisThreadStore(redis), [writer])
    await writer.close()
  })
})
