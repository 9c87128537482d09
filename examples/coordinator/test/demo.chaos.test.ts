import { startRedis } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { demo } from './demo.js'

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
