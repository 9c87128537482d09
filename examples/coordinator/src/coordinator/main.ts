import { connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { serve } from '@hono/node-server'
import { createApp } from './app.js'

const { env } = process
const token = env.COORDINATOR_TOKEN
if (!token) throw new Error('COORDINATOR_TOKEN: what those who register nodes have to show')

const redis = env.REDIS_URL
  ? await connect({ url: env.REDIS_URL, namespace: env.COORDINATOR_NAMESPACE ?? 'coordinator' })
  : undefined
const pool = await createDecoderPool({
  redis,
  file: env.COORDINATOR_FILE || undefined,
  region: env.COORDINATOR_REGION || undefined,
  strategy: 'prefix',
  probe: { interval: '500ms', timeout: '1s' },
  pollInterval: '500ms',
})
pool.on('warning', (warning) => console.error(warning.message))

const server = serve(
  {
    fetch: createApp(pool, token, redis).fetch,
    port: Number(env.PORT ?? 0),
    hostname: env.HOST ?? '127.0.0.1',
  },
  ({ port }) => {
    if (process.send) process.send({ port })
    else console.log(`listening on port ${port}`)
  },
)

async function stop(): Promise<void> {
  server.close()
  await pool.close()
  await redis?.close()
  process.exit(0)
}
for (const signal of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.once(signal, () => void stop())
