import { serve } from '@hono/node-server'
import { createApp } from './app.js'
import { createGateway } from './gateway.js'

const { env } = process

const gateway = await createGateway({
  redisUrl: env.REDIS_URL || undefined,
  namespace: env.GATEWAY_NAMESPACE ?? 'gateway',
  instances: Number(env.GATEWAY_INSTANCES ?? 1),
  requestsPerMinute: Number(env.GATEWAY_REQUESTS_PER_MINUTE ?? 60),
  tokensPerMinute: Number(env.GATEWAY_TOKENS_PER_MINUTE ?? 2_000_000),
  operatorToken: env.GATEWAY_OPERATOR_TOKEN || undefined,
  nodeHosts: env.GATEWAY_NODE_HOSTS?.split(','),
})
const app = createApp(gateway)
const server = serve(
  { fetch: app.fetch, port: Number(env.PORT ?? 0), hostname: env.HOST ?? '127.0.0.1' },
  ({ port }) => {
    if (process.send) process.send({ port })
    else console.log(`listening on port ${port}`)
  },
)

async function stop(): Promise<void> {
  server.close()
  await gateway.close()
  process.exit(0)
}
process.once('SIGTERM', () => void stop())
process.once('SIGINT', () => void stop())
process.once('disconnect', () => void stop())
