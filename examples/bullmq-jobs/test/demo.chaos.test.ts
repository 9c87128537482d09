import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'

const script = fileURLToPath(new URL('../dist/main.js', import.meta.url))
const { REDIS_URL: _, ...withoutRedis } = process.env

/** Runs the built demo as a user does. Its exit code is 0 if its promises held. */
function demo(env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script], { env, timeout: 120_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, output: stdout + stderr })
    })
  })
}

describe('the demo of background jobs', () => {
  it('loses no job, and counts none twice, while its Redis is killed and comes back', async () => {
    const { code, output } = await demo(withoutRedis)
    expect(output).toContain('Redis is killed')
    expect(code, output).toBe(0)
  })

  it('leaves nothing in a Redis that is not its own', async () => {
    await using server = await startRedis()
    const { code, output } = await demo({ ...withoutRedis, REDIS_URL: server.url })
    expect(output).not.toContain('killed;')
    expect(code, output).toBe(0)
    const keys = (await server.command('KEYS', '*')) as string[]
    expect(keys.filter((key) => key.startsWith('bull:'))).toEqual([])
  })

  it('says what is missing where there is no Redis to be had', async () => {
    const { code, output } = await demo({ ...withoutRedis, PATH: '/nowhere' })
    expect(output).toContain('REDIS_URL')
    expect(code, output).toBe(2)
  })
})
