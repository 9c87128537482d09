import { startRedis, until } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { forms, libraries, project } from '../harness/index.js'

it.each(forms)(
  'a script whose only work is one append in an outage lives until it is stored, %s',
  async (form) => {
    const app = await project('memory-waiting', {
      packages: ['@evenkeel/agent-memory'],
      dependencies: { redis: libraries.redis6 },
    })
    await using redis = await startRedis({ args: { appendonly: 'yes' } })
    const run = (wait: string) =>
      app.run(
        `
        import { createAgentMemory } from '@evenkeel/agent-memory'
        import { connect } from '@evenkeel/core'
        const redis = await connect()
        const memory = createAgentMemory({ redis })
        const thread = memory.owner('o').thread('t')
        await thread.window()
        // The test brings it back when it is gone.
        await redis.command(['SHUTDOWN', 'SAVE']).catch(() => {})
        const receipt = await thread.append({ role: 'user', content: 'hello' })
        ${wait}
        const { messages } = await thread.window()
        console.log(JSON.stringify([receipt.status, messages.map(({ content }) => content)]))
        await memory.close()
        await redis.close()`,
        { form, env: { REDIS_URL: redis.url }, stderr: 'outages' },
      )
    for (const [index, wait] of ['await memory.flushed()', 'await receipt.stored'].entries()) {
      const ending = run(wait)
      await Promise.race([ending, until(async () => !(await isUp()), 60_000)])
      await redis.restart()
      const { value } = await ending
      expect(value).toEqual(['journaled', Array.from({ length: index + 1 }, () => 'hello')])
    }

    async function isUp(): Promise<boolean> {
      return redis.command('PING').then(
        () => true,
        () => false,
      )
    }
  },
)
