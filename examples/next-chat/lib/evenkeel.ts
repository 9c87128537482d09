import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'

async function start() {
  const { REDIS_URL } = process.env
  // Without REDIS_URL all of it is kept in this process.
  const redis = REDIS_URL === undefined ? undefined : await connect({ url: REDIS_URL })
  const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(20, '1m') } })
  return {
    redis,
    limiter,
    cache: createResponseCache({ redis, ttl: '1h' }),
    memory: createAgentMemory({ redis }),
  }
}

// Next evaluates a changed module anew, and what imports it: only what hangs on the global object stays.
const kept = globalThis as { evenkeel?: ReturnType<typeof start> }
kept.evenkeel ??= start()
export const evenkeel = kept.evenkeel
