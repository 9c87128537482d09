import { setTimeout as pause } from 'node:timers/promises'
import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { concurrency, createRateLimiter } from '@evenkeel/rate-limiter'
import { startRedis, until } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'

const messages = [
  'secret text that is no JSON',
  '',
  '\u0000\u0001',
  '{}',
  '[]',
  'null',
  '7',
  '"text"',
  '["x"]',
  '["x",1]',
  '[1,{"a":1}]',
  '["a",["b",2]]',
  '["a","b",[["c"]],[],null]',
  '["a","b",[["c",{}]],["d"],{"pattern":1}]',
  '["a","b","c","d","e"]',
  '{"by":"a","node":"b","reason":"failures","forMs":"1"}',
  `["${'a'.repeat(100_000)}"]`,
]

it('messages that somebody else writes to the channels of the family change nothing, and nobody is warned', async () => {
  const warnings: string[] = []
  const onWarning = (warning: Error) => warnings.push(`${warning.name}: ${warning.message}`)
  process.on('warning', onWarning)
  await using server = await startRedis()
  await using redis = await connect({ url: server.url })
  const limiter = createRateLimiter({ redis, name: 'messages', limits: { calls: concurrency(1) } })
  const cache = createResponseCache({ redis })
  const memory = createAgentMemory({ redis, feed: true })
  const pool = await createDecoderPool({ redis, name: 'messages', probe: false })
  const stop = new AbortController()
  try {
    await pool.register({ id: 'node', endpoint: 'http://127.0.0.1:9', capacity: 1 })
    const held = await limiter.acquire('ada')
    const waits = limiter.acquire('ada')
    const thread = memory.owner('ada').thread('talk')
    const heard: unknown[] = []
    const listening = (async () => {
      for await (const change of thread.subscribe({ signal: stop.signal })) heard.push(change)
    })().catch(() => {})
    const ask = cache.wrap(async (question: string) => `answer to ${question}`, { name: 'ask' })
    await ask('a')
    const channels = async () => (await redis.command(['PUBSUB', 'CHANNELS'])) as string[]
    await until(async () => (await channels()).length >= 7)
    for (const channel of await channels()) {
      for (const message of messages) await redis.command(['PUBLISH', channel, message])
    }
    await pause(50)

    expect(await ask('a')).toBe('answer to a')
    await thread.append({ role: 'user', content: 'there?' })
    await until(() => heard.length > 0)
    await held.settle()
    await (await waits).settle()
    const lease = await pool.acquire()
    expect(lease.node.id).toBe('node')
    lease.release()
    stop.abort()
    await listening
    expect(warnings).toEqual([])
  } finally {
    stop.abort()
    process.off('warning', onWarning)
    await Promise.all([limiter.close(), cache.close(), memory.close(), pool.close()])
  }
})
