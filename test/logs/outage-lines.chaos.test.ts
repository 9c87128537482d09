import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { startRedis, until } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'

function recorder() {
  const lines: { readonly level: string; readonly text: string }[] = []
  const write = (level: string) => (text: string) => void lines.push({ level, text })
  return { lines, logger: { info: write('info'), warn: write('warn') } }
}

/** A service that uses all packages on one connection. */
async function service(url: string, name: string) {
  const { lines, logger } = recorder()
  const redis = await connect({ url, name, logger, commandTimeout: 200 })
  const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(1_000_000, '1m') } })
  const cache = createResponseCache({ redis })
  const memory = createAgentMemory({ redis })
  const pool = await createDecoderPool({ redis, name })
  const answer = cache.wrap(async (question: string) => `the answer to ${question}`, { name: 'answer' })
  return {
    lines,
    redis,
    async call(number: number) {
      await limiter.check(`user:${number}`)
      await answer(`question ${number}`)
      await memory
        .owner('ada')
        .thread('talk')
        .append({ id: `m${number}`, role: 'user', content: 'hello' })
      pool.pick()
      await redis.command(['PING']).catch(() => {})
    },
    async close() {
      await pool.close()
      await memory.close()
      await cache.close()
      await limiter.close()
      await redis.close()
    },
  }
}

it('is one line when Redis goes and one when it is back, a connection, whatever is called meanwhile', async () => {
  const warnings: Error[] = []
  const heard = (warning: Error) => void warnings.push(warning)
  process.on('warning', heard)
  const server = await startRedis()
  const services = [await service(server.url, 'one'), await service(server.url, 'two')]
  try {
    for (const each of services) await each.call(0)
    await server.kill()
    await until(() => services.every(({ redis }) => redis.state === 'down'), 30_000)
    for (const each of services) for (let number = 1; number <= 200; number++) await each.call(number)
    await server.restart()
    await until(() => services.every(({ redis }) => redis.state === 'up'), 30_000)
    for (const each of services) for (let number = 200; number <= 300; number++) await each.call(number)
    await until(() => services.every(({ lines }) => lines.some(({ level }) => level === 'info')), 30_000)
    for (const [index, { lines }] of services.entries()) {
      expect(lines.map(({ level }) => level)).toEqual(['warn', 'info'])
      for (const { text } of lines) expect(text).toContain(index === 0 ? 'one' : 'two')
    }
    // With a logger, no process warnings are emitted as well.
    expect(warnings.map(String)).toEqual([])
  } finally {
    for (const each of services) await each.close()
    await server.close()
    process.off('warning', heard)
  }
})
