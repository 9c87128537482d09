import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'

const script = fileURLToPath(new URL('../dist/main.js', import.meta.url))

/** Runs the built demo as a user does. Its exit code is 0 if its promises held. */
function demo(args: string[], env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, output: stdout + stderr })
    })
  })
}

describe('several processes with one limit', () => {
  it('keep it while their Redis is killed and comes back', async () => {
    const { REDIS_URL: _, ...env } = process.env
    const { code, output } = await demo([], env)
    expect(output).toContain('Redis is killed')
    expect(code, output).toBe(0)
  })

  it('leave a Redis that is not theirs alone', async () => {
    await using server = await startRedis()
    const { code, output } = await demo(['--processes', '2'], { ...process.env, REDIS_URL: server.url })
    expect(output).not.toContain('killed\n')
    expect(code, output).toBe(0)
    expect(await server.command('PING')).toBe('PONG')
  })
})
