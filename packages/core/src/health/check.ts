import { randomUUID } from 'node:crypto'
import type { Argument, Reply } from '../clients/port.js'
import type { CommandOptions } from '../connection/executor.js'
import { createKeyspace } from '../kit/keys.js'
import { parseInfo } from './info.js'
import { type HealthReport, serverHealth } from './report.js'
import type { Vitals } from './vitals.js'

/** Longest wait for a part of a check, whatever the connection's own deadline. */
const partTimeoutMs = 1_000

/** What a health check needs from the connection. */
export interface HealthSubject {
  readonly namespace: string
  command(args: readonly Argument[], options?: CommandOptions): Promise<Reply>
  vitals(): Vitals
}

/** Checks the health of Redis: sends all questions at once, each with a deadline. Never rejects. */
export async function checkHealth(redis: HealthSubject): Promise<HealthReport> {
  const options = { timeoutMs: partTimeoutMs }
  const ask = async (...args: string[]) => redis.command(args, options).catch(() => undefined)
  const startedAt = performance.now()
  const [ping, info, policy, operations] = await Promise.all([
    ask('PING').then((reply) => (reply === undefined ? undefined : performance.now() - startedAt)),
    ask('INFO'),
    // An ACL may not permit this; then the policy in INFO counts.
    ask('CONFIG', 'GET', 'maxmemory-policy'),
    tryOperations(redis, options),
  ])
  const server =
    typeof info === 'string'
      ? serverHealth(parseInfo(info), Array.isArray(policy) ? String(policy[1]) : undefined)
      : undefined
  const { state, topology, client, latency, inFlight, breaker, pairs } = redis.vitals()
  const fallback = { active: pairs.some((pair) => pair.state !== 'primary'), pairs }
  const now = performance.now()
  const report = {
    state,
    topology,
    client,
    inFlight,
    breaker,
    fallback,
    operations,
    server,
    latency: { pingMs: ping, p50Ms: latency.quantile(0.5, now), p99Ms: latency.quantile(0.99, now) },
  }
  const reasons = reasonsOf(report)
  const status = state !== 'up' ? 'unhealthy' : reasons.length > 0 ? 'degraded' : 'healthy'
  return { status, reasons, ...report }
}

async function tryOperations(redis: HealthSubject, options: { timeoutMs: number }) {
  const key = createKeyspace(redis.namespace, 'health').key(randomUUID())
  const attempt = async (args: string[], expected: string) =>
    redis.command(args, { ...options, key }).then(
      (reply) => String(reply) === expected,
      () => false,
    )
  const set = await attempt(['SET', key, 'ok', 'PX', '10000'], 'OK')
  const get = set && (await attempt(['GET', key], 'ok'))
  return { set, get, delete: set && (await attempt(['DEL', key], '1')) }
}

function reasonsOf({
  state,
  breaker,
  fallback,
  operations,
  server,
}: Omit<HealthReport, 'status' | 'reasons'>): string[] {
  if (state !== 'up') return [`Redis is ${state}: ${breaker.reason}`]
  const reasons = fallback.pairs
    .filter((pair) => pair.state !== 'primary')
    .map((pair) => `${pair.name} answers from memory`)
  if (!operations.set || !operations.get || !operations.delete)
    reasons.push('a key of the check could not be set, read and deleted')
  if (server?.persistence.lastSaveOk === false) reasons.push('the last snapshot failed')
  if (server?.persistence.lastAppendOk === false) reasons.push('the last append to the AOF failed')
  return reasons
}
