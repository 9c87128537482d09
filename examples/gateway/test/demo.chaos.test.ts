import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { startRedis } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'

const script = fileURLToPath(new URL('../dist/demo.js', import.meta.url))

/** Runs the built demo as a user does. Its exit code is 0 if the promises held. */
function demo(args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const { REDIS_URL: _, ...rest } = process.env
    execFile(process.execPath, [script, ...args], { env: { ...rest, ...env } }, (error, stdout, stderr) => {
      resolve({
        code: typeof error?.code === 'number' ? error.code : error === null ? 0 : 1,
        output: stdout + stderr,
      })
    })
  })
}

describe('the demo', () => {
  it('holds what its table promises, in one process', async () => {
    const { code, output } = await demo(['--requests', '150'])
    expect(output).toMatch(/answered from the cache +[1-9]/)
    expect(code, output).toBe(0)
  })

  it('shares state between two gateways on Redis', async () => {
    await using redis = await startRedis()
    const { code, output } = await demo(['--requests', '150'], { REDIS_URL: redis.url })
    expect(output).toContain('2 gateways, on Redis')
    expect(output).toContain('✓ a gateway answers with what the other one stored')
    expect(code, output).toBe(0)
    expect(await redis.command('DBSIZE')).toBe(0)
  })

  it('loses no request when Redis is taken away half-way', async () => {
    const { code, output } = await demo(['--requests', '200', '--chaos'])
    expect(output).toContain('✓ no request failed for the outage')
    expect(code, output).toBe(0)
  })

  it.each([['--speed', '0'], ['--trace', 'nothing.txt'], ['--requests', 'many'], ['--nonsense']])(
    'refuses %s %s',
    async (...args) => {
      const { code } = await demo(args)
      expect(code).not.toBe(0)
    },
  )
})
