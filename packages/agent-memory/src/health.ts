import type { Connection } from '@evenkeel/core'

/** A danger to stored conversations. */
export interface MemoryWarning {
  readonly code: 'EVICTION' | 'AOF_OFF' | 'JOURNAL_WAITS' | 'REDIS_DOWN'
  readonly message: string
}

export interface MemoryHealth {
  readonly status: 'ok' | 'warning' | 'down'
  readonly warnings: readonly MemoryWarning[]
}

/** Asks Redis for its eviction policy and persistence. Never rejects. */
export async function checkMemory(redis: Connection | undefined, journaled: number): Promise<MemoryHealth> {
  const warnings: MemoryWarning[] = []
  if (journaled > 0) {
    warnings.push({
      code: 'JOURNAL_WAITS',
      message: `${journaled} messages wait in the journal of this process`,
    })
  }
  if (redis === undefined) return { status: warnings.length > 0 ? 'warning' : 'ok', warnings }
  const { state, server } = await redis.health()
  const policy = server?.evictionPolicy
  if (state !== 'up') warnings.push({ code: 'REDIS_DOWN', message: `Redis is ${state}` })
  if (policy !== undefined && policy !== 'noeviction' && (server?.memory.limitBytes ?? 0) > 0) {
    warnings.push({
      code: 'EVICTION',
      message: `maxmemory-policy is ${policy}: Redis may drop threads; use noeviction, or a Redis of their own`,
    })
  }
  if (server?.persistence.aof === false) {
    warnings.push({
      code: 'AOF_OFF',
      message: 'appendonly is off: a restart of Redis loses threads, but for what the heal window covers',
    })
  }
  return { status: state !== 'up' ? 'down' : warnings.length > 0 ? 'warning' : 'ok', warnings }
}
