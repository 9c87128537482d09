import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'

const script = fileURLToPath(new URL('../dist/demo.js', import.meta.url))

/** The demo as a user runs it, built; its exit code says whether its promises held. */
function demo(env: NodeJS.ProcessEnv): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script], { env }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, output: stdout + stderr })
    })
  })
}

describe('two coordinators before five nodes', () => {
  it('agree over a file', async () => {
    const { REDIS_URL: _, ...env } = process.env
    const { code, output } = await demo(env)
    expect(output).toContain('without Redis')
    expect(code, output).toBe(0)
  })

  it('agree over Redis', async () => {
    await using server = await startRedis()
    const { code, output } = await demo({ ...process.env, REDIS_URL: server.url })
    expect(output).toContain('on REDIS_URL')
    expect(code, output).toBe(0)
  })
})
