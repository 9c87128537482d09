import { describe, expect, it } from 'vitest'
import { demo } from './demo.js'

describe('the demo of coordinators', () => {
  it('goes on over its file where Redis can’t be reached, whatever PORT says', async () => {
    const { code, output } = await demo({ ...process.env, REDIS_URL: 'redis://127.0.0.1:1', PORT: '3000' })
    expect(code, output).toBe(0)
  })

  it('says what is wrong with a URL, and ends', async () => {
    const { code, output } = await demo({ ...process.env, REDIS_URL: 'localhost:6379' })
    expect(code).toBe(1)
    expect(output).toMatch(/url: expected a URL like 'redis:/)
  })
})
