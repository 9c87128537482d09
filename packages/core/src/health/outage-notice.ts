import type { ConnectionEvents } from '../connection/events.js'
import type { ConnectionState } from '../connection/state.js'
import { type Logger, notify } from '../kit/logger.js'

/** What the notice needs from the connection. */
export interface OutageSubject {
  readonly state: ConnectionState
  readonly downReason: string | undefined
  on<K extends keyof ConnectionEvents>(event: K, listener: ConnectionEvents[K]): () => void
}

/** Shorter outages, such as a failover or a restart, are not reported, except the first. */
const reportAfterMs = 5_000

/**
 * Reports once when Redis can't be used and once when it can again: to the host's logger, else as a process warning.
 * Otherwise a service that answers from memory would look healthy. The first outage is reported at once, which reveals
 * a wrong address at the start; later ones only if they last.
 */
export function reportOutages(redis: OutageSubject, name: string, logger: Logger | undefined): void {
  let isFirst = true
  let isReported = false
  let timer: NodeJS.Timeout | undefined
  const report = (reason: string) => {
    isFirst = false
    isReported = true
    const message = `Redis (${name}) can't be used: ${withoutStop(reason)}. Until it can, evenkeel answers from memory.`
    notify(logger, 'warn', message, 'EVENKEEL_REDIS_DOWN')
  }
  const down = (reason: string) => {
    if (isReported || timer !== undefined) return
    if (isFirst) return report(reason)
    timer = setTimeout(() => report(redis.downReason ?? reason), reportAfterMs)
    timer.unref()
  }
  redis.on('down', ({ reason }) => down(reason))
  redis.on('up', ({ downForMs }) => {
    clearTimeout(timer)
    timer = undefined
    if (!isReported) return
    isReported = false
    const message = `Redis (${name}) is used again after ${(downForMs / 1_000).toFixed(1)} s.`
    notify(logger, 'info', message, 'EVENKEEL_REDIS_UP')
  })
  redis.on('close', () => clearTimeout(timer))
  if (redis.state === 'down') down(redis.downReason ?? 'no connection')
}

/** Some servers end their messages with a full stop. */
function withoutStop(text: string): string {
  return text.endsWith('.') ? text.slice(0, -1) : text
}
