import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'

async function start() {
  const { REDIS_URL } = process.env
  // Without REDIS_URL, all is kept in this process's memory.
  const redis = REDIS_URL === undefined ? undefined : await connect({ url: REDIS_URL })
  const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(20, '1m') } })
  return {
    redis,
    limiter,
    cache: createResponseCache({ redis, ttl: '1h' }),
    memory: createAgentMemory({ redis }),
  }
}

// Next re-evaluates a changed module and its importers; only properties of the global object survive that.
const kept = globalThis as { evenkeel?: ReturnType<typeof start> }
kept.evenkeel ??= start()
export const evenkeel = kept.evenkeel
