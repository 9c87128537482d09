import { connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { startRedis } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { createApp } from '../src/coordinator/app.js'

it('shows its metrics and Redis’ health to who bears the token', async () => {
  await using server = await startRedis()
  await using redis = await connect({ url: server.url, name: 'coordinator' })
  const pool = await createDecoderPool({ redis })
  const app = createApp(pool, 'secret', redis)
  const ask = async (path: string, token?: string) =>
    app.request(path, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } })
  try {
    expect((await ask('/metrics')).status).toBe(403)
    expect((await ask('/health/redis', 'other')).status).toBe(403)
    // The report is that of the last check of Redis, which may be late on a busy machine.
    await expect
      .poll(async () => (await ask('/health/redis', 'secret')).text(), { timeout: 20_000 })
      .toContain('version')
    await expect
      .poll(async () => (await ask('/metrics', 'secret')).text(), { timeout: 20_000 })
      .toContain('evenkeel_decoder_pool_')
  } finally {
    await pool.close()
  }
})
