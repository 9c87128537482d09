import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type AgentMemory, createAgentMemory, type Message } from '@evenkeel/agent-memory'
import { createCheckpointSaver } from '@evenkeel/agent-memory/langgraph'
import { connect } from '@evenkeel/core'
import { type RedisServer, startProxy, startRedis } from '@evenkeel/test-servers'
import { HumanMessage } from '@langchain/core/messages'
import {
  type BaseCheckpointSaver,
  emptyCheckpoint,
  MemorySaver,
  uuid6,
} from '@langchain/langgraph-checkpoint'
import { RedisChatMessageHistory } from '@langchain/redis'
import { createClient } from 'redis'
import { closedLoop, interleave, round2, type Standing } from '../interleaved.js'
import { pinServer } from '../pinned.js'
import type { Figure, Suite } from '../report.js'

const peerName = '@langchain/redis'
const text = 'x'.repeat(400)
const ttlSeconds = 2_592_000
const message = (): Message => ({ role: 'user', content: text })

/** Agent memory against the message history of @langchain/redis, both on clients of the same library. */
export const agentMemory: Suite = {
  name: 'agent-memory',
  async run(effort) {
    const server = await startRedis()
    pinServer(server.pid)
    const client = createClient({ url: server.url })
    await client.connect()
    const redis = await connect({ url: server.url })
    const memory = createAgentMemory({ redis, limits: { messages: 10_000_000, bytes: 2 ** 40 } })
    // With one byte it keeps nothing in the process, so each read is a first read.
    const forgetful = createAgentMemory({ redis, maxBytes: 1 })
    const peerOf = (sessionId: string) =>
      new RedisChatMessageHistory({ sessionId, client: client as never, sessionTTL: ttlSeconds })
    const threadOf = (name: string) => memory.owner('bench').thread(name)
    const names = Array.from({ length: 64 }, (_, index) => `t${index}`)
    const peers = names.map(peerOf)
    const threads = names.map((name) => memory.owner(name).thread('t'))
    const next = cycle(names.length)

    const one = await interleave(
      [
        closedLoop(peerName, 1, () => peers[0]?.addMessage(new HumanMessage(text)) ?? Promise.resolve()),
        closedLoop('evenkeel', 1, () => threads[0]?.append(message()) ?? Promise.resolve()),
      ],
      effort,
    )
    const many = await interleave(
      [
        closedLoop(
          peerName,
          64,
          () => peers[next()]?.addMessage(new HumanMessage(text)) ?? Promise.resolve(),
        ),
        closedLoop('evenkeel', 64, () => threads[next()]?.append(message()) ?? Promise.resolve()),
      ],
      effort,
    )
    const turn = Array.from({ length: 5 }, message)
    const turns = await interleave(
      [
        closedLoop(peerName, 1, () => peerOf('turns').addMessages(turn.map(() => new HumanMessage(text)))),
        closedLoop('evenkeel', 1, () => threadOf('turns').append(turn)),
      ],
      effort,
    )
    const reads = async (length: number) => {
      await fill(threadOf(`r${length}`), peerOf(`r${length}`), length)
      return interleave(
        [
          closedLoop(peerName, 1, async () => (await peerOf(`r${length}`).getMessages()).slice(-20)),
          closedLoop('evenkeel: first read', 1, () =>
            forgetful.owner('bench').thread(`r${length}`).window({ maxMessages: 20 }),
          ),
        ],
        effort,
      )
    }
    const thousand = await reads(1_000)
    const tenThousand = await reads(effort.smoke ? 2_000 : 10_000)
    const again = threadOf('r1000')
    await again.window({ maxMessages: 20 })
    const unchanged = await interleave(
      [
        closedLoop('PING, by the same connection', 1, () => redis.command(['PING'])),
        closedLoop('evenkeel: window unchanged', 1, () => again.window({ maxMessages: 20 })),
      ],
      effort,
    )
    const savers = await interleave(
      [
        closedLoop('MemorySaver', 1, checkpoints(new MemorySaver())),
        closedLoop('evenkeel: on Redis', 1, checkpoints(createCheckpointSaver({ redis, ttl: '1h' }))),
        closedLoop('evenkeel: in process', 1, checkpoints(createCheckpointSaver())),
      ],
      effort,
    )
    const stored = await bytesPerMessage(server, memory, peerOf)
    await Promise.all([memory.close(), forgetful.close()])
    await redis.close()
    await client.disconnect()
    await server.close()
    const faults = await throughFaults(effort.smoke ? 100 : 300)
    const replay = await journaled(effort.smoke ? 500 : 10_000)

    return {
      suite: 'agent-memory',
      comparisons: [
        { title: 'append of 400 bytes with a TTL, 1 concurrent', standings: one },
        { title: 'the same, 64 concurrent over 64 threads', standings: many },
        { title: 'a turn of 5 messages', standings: turns },
        { title: 'the last 20 of 1,000', standings: thousand },
        { title: 'the last 20 of 10,000', standings: tenThousand },
        { title: 'a window that was read before', standings: unchanged },
        { title: 'put and getTuple, a channel of 20 messages', standings: savers },
      ],
      figures: [
        figure('append, 1 concurrent, latency by the peer', latency(one), 'x', { atMost: 0.55 }),
        figure('append, 64 concurrent, throughput', one2(many), 'x', { atLeast: 2 }),
        figure('a turn of 5 messages, throughput', one2(turns), 'x', { atLeast: 4 }),
        figure('last 20 of 1,000', one2(thousand), 'x', { atLeast: 10 }),
        figure('last 20 of 10,000', one2(tenThousand), 'x', { atLeast: 150 }),
        figure('window unchanged, time by PING', latency(unchanged), 'x', { atMost: 1.2 }),
        figure('LangGraph put and getTuple on Redis by MemorySaver in process', one2(savers), 'x'),
        figure('bytes in Redis a message by the list', stored.ratio, 'x', { atMost: 1.6 }),
        figure('the same, in bytes', stored.bytes, 'bytes'),
        figure(
          'of 300 messages through faults, retried once: refused, the peer',
          faults.peer.refused,
          'messages',
        ),
        figure('the same: there twice, the peer', faults.peer.twice, 'messages'),
        figure('the same: refused, evenkeel', faults.ours.refused, 'messages', { atMost: 0 }),
        figure('the same: there twice or out of order, evenkeel', faults.ours.twice, 'messages', {
          atMost: 0,
        }),
        figure('journaled appends replayed in', replay.ms, 'ms'),
        figure('event-loop delay p99 meanwhile', replay.delayMs, 'ms', { atMost: 50 }),
      ],
    }
  },
}

function figure(name: string, value = Number.NaN, unit: string, bound?: Figure['bound']): Figure {
  return { name, value: round2(value), unit, ...(bound && { bound }) }
}

function one2(standings: readonly Standing[]): number | undefined {
  return standings[1]?.ratio
}

function latency(standings: readonly Standing[]): number {
  return 1 / (standings[1]?.ratio ?? Number.NaN)
}

function cycle(length: number): () => number {
  let index = 0
  return () => index++ % length
}

async function fill(
  thread: ReturnType<ReturnType<AgentMemory['owner']>['thread']>,
  peer: RedisChatMessageHistory,
  count: number,
): Promise<void> {
  for (let from = 0; from < count; from += 500) {
    const messages = Array.from({ length: Math.min(500, count - from) }, message)
    await thread.append(messages)
    await Promise.all(messages.map(() => peer.addMessage(new HumanMessage(text))))
  }
}

/** Each call puts a checkpoint with one more message, and reads it; a thread gets 20 messages. */
function checkpoints(saver: BaseCheckpointSaver): () => Promise<unknown> {
  let [thread, step] = [0, 0]
  let messages: string[] = []
  let config: { configurable?: Record<string, unknown> } = { configurable: { thread_id: '0' } }
  return async () => {
    if (step++ % 20 === 0) {
      messages = []
      config = { configurable: { thread_id: String(thread++) } }
    }
    messages.push(`${step} ${text}`)
    const checkpoint = { ...emptyCheckpoint(), id: uuid6(step), channel_values: { messages: [...messages] } }
    config = await saver.put(config, checkpoint, { source: 'loop', step, parents: {} }, { messages: step })
    return saver.getTuple(config)
  }
}

/** What a message of 400 bytes takes in Redis, in threads of 1,000. */
async function bytesPerMessage(
  server: RedisServer,
  memory: AgentMemory,
  peerOf: (name: string) => RedisChatMessageHistory,
): Promise<{ bytes: number; ratio: number }> {
  await server.command('FLUSHALL')
  const thread = memory.owner('m').thread('t')
  await fill(thread, peerOf('m'), 1_000)
  const usage = async (key: string) =>
    Number(await server.command('MEMORY', 'USAGE', key, 'SAMPLES', '0')) / 1_000
  const bytes = await usage('evenkeel:agent-memory:{m}:t:t')
  return { bytes, ratio: bytes / (await usage('m')) }
}

/** Appends `count` messages in an outage, and measures their replay from the moment when Redis is up again. */
async function journaled(count: number): Promise<{ ms: number; delayMs: number }> {
  const server = await startRedis()
  pinServer(server.pid)
  const proxy = await startProxy({ host: server.host, port: server.port })
  const redis = await connect({ url: proxy.url })
  const memory = createAgentMemory({ redis, journal: { maxMessages: count, maxBytes: 1 << 30 } })
  await proxy.refuse()
  while (memory.status().state !== 'fallback') await new Promise((resolve) => setTimeout(resolve, 10))
  for (let index = 0; index < count; index++) {
    await memory
      .owner('o')
      .thread(`t${index % 100}`)
      .append(message())
  }
  const delay = monitorEventLoopDelay({ resolution: 5 })
  await proxy.restore()
  while (redis.state !== 'up') await new Promise((resolve) => setTimeout(resolve, 5))
  delay.enable()
  const startedAt = performance.now()
  await memory.flushed()
  const ms = performance.now() - startedAt
  delay.disable()
  await memory.close()
  await redis.close()
  await proxy.close()
  await server.close()
  return { ms, delayMs: delay.percentile(99) / 1e6 }
}

interface Outcome {
  /** Messages for which the host got an error on both attempts. */
  refused: number
  /** Messages that are stored twice, or behind a later one. */
  twice: number
}

/**
 * One writer, which loses replies and is cut off from Redis for a while, and whose host retries each failed message
 * once, as hosts do. The messages that are stored in the end are compared with those that were sent.
 */
async function throughFaults(count: number): Promise<{ peer: Outcome; ours: Outcome }> {
  const run = async (open: (url: string) => Promise<Contender>): Promise<Outcome> => {
    const server = await startRedis()
    const proxy = await startProxy({ host: server.host, port: server.port })
    const { say, read, close } = await open(proxy.url)
    const outcome = { refused: 0, twice: 0 }
    for (let index = 0; index < count; index++) {
      if (index % 60 === 20) {
        const names = ['EVALSHA', 'LPUSH']
        proxy.dropReplies(1, ([name = '']) => names.includes(name.toUpperCase()))
      }
      if (index === 150 || index === 70) {
        await proxy.refuse()
        setTimeout(() => void proxy.restore(), 400)
      }
      const tell = () => say(`m${index}`)
      await tell()
        .catch(() => tell())
        .catch(() => {
          outcome.refused++
        })
      await new Promise((resolve) => setTimeout(resolve, 3))
    }
    await proxy.restore()
    const found = await read(server.url)
    const order = found.map((id) => Number(id.slice(1)))
    outcome.twice = order.filter((number, index) => index > 0 && number <= (order[index - 1] ?? -1)).length
    await close()
    await proxy.close()
    await server.close()
    return outcome
  }
  interface Contender {
    say(id: string): Promise<unknown>
    read(url: string): Promise<string[]>
    close(): Promise<unknown>
  }
  const peer = await run(async (url) => {
    const client = createClient({ url, disableOfflineQueue: true, socket: { reconnectStrategy: 50 } })
    client.on('error', () => {})
    await client.connect()
    const history = new RedisChatMessageHistory({
      sessionId: 's',
      client: client as never,
      sessionTTL: ttlSeconds,
    })
    const within = <T>(work: Promise<T>) =>
      Promise.race([work, new Promise<never>((_, reject) => setTimeout(reject, 300, new Error('too late')))])
    return {
      say: (id) => within(history.addMessage(new HumanMessage({ id, content: id }))),
      read: async (direct) => {
        const reader = createClient({ url: direct })
        await reader.connect()
        const own = new RedisChatMessageHistory({ sessionId: 's', client: reader as never })
        const messages = await own.getMessages()
        await reader.disconnect()
        return messages.map(({ content }) => String(content))
      },
      close: () => client.disconnect(),
    }
  })
  const ours = await run(async (url) => {
    const redis = await connect({ url, commandTimeout: 300 })
    const memory = createAgentMemory({ redis })
    const thread = memory.owner('o').thread('s')
    return {
      say: (id) => thread.append({ id, role: 'user', content: id }),
      read: async () => {
        await memory.flushed()
        while (memory.status().state !== 'primary') await new Promise((resolve) => setTimeout(resolve, 10))
        const window = await thread.window({ maxMessages: 1_000 })
        return window.messages.map(({ id }) => id)
      },
      close: async () => {
        await memory.close()
        await redis.close()
      },
    }
  })
  return { peer, ours }
}
