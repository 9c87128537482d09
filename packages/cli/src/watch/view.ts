import type { HealthReport } from '@evenkeel/core'
import type { Io } from '../io.js'
import { bytesText, durationText, table, tint } from '../output.js'
import type { CacheCount, LimiterSample, PoolSample, Sample } from './sample.js'

/** The lines that a terminal shows for a sample. Rates are computed from the sample before. */
export function linesOf(sample: Sample, before: Sample | undefined, io: Io): readonly string[] {
  return [
    ...redisLines(sample, before, io),
    ...cacheLines(sample, before),
    ...limiterLines(sample, before, io),
    ...poolLines(sample.pools, io),
  ]
}

/** The change per second of every count between two samples, for scripts. */
export function ratesOf(sample: Sample, before: Sample | undefined) {
  const { cache } = sample
  return {
    commandsPerSecond: rate(sample, before, ({ health }) => health.server?.commandsProcessed),
    evictedPerSecond: rate(sample, before, ({ health }) => health.server?.evictedKeys),
    cacheHitRate: cache === undefined ? null : hitRateNow(sample, before),
    limiters: Object.fromEntries(
      sample.limiters.map(({ name }) => [
        name,
        {
          allowedPerSecond: rate(sample, before, countOf(name, 'allowed')),
          deniedPerSecond: rate(sample, before, countOf(name, 'denied')),
        },
      ]),
    ),
  }
}

/** What an operator should look into although Redis can be used, by the thresholds of the Prometheus rules. */
export function warningsOf({ health, limiters, pools }: Sample): readonly string[] {
  const { server, latency } = health
  if (server === undefined) return []
  const { memory, evictionPolicy = '', replicationLagSeconds = 0 } = server
  const share = memory.limitBytes ? (memory.usedBytes ?? 0) / memory.limitBytes : 0
  const keeps = limiters.length + pools.length > 0
  const slowMs = Math.max(latency.pingMs ?? 0, latency.p99Ms ?? 0)
  return [
    share > 0.8 && `${percent(share)} of the memory limit is used`,
    keeps &&
      evictionPolicy.startsWith('allkeys-') &&
      `${evictionPolicy} may evict limits and registered nodes`,
    replicationLagSeconds > 10 && `a replica is ${replicationLagSeconds} s behind`,
    slowMs > 100 && `commands take ${Math.round(slowMs)} ms`,
  ].filter((warning) => warning !== false)
}

const tones = { healthy: 'good', degraded: 'warning', unhealthy: 'bad' } as const

function redisLines(sample: Sample, before: Sample | undefined, io: Io): readonly string[] {
  const { health } = sample
  const { server } = health
  const time = new Date(sample.atMs).toTimeString().slice(0, 8)
  const name = server === undefined ? 'Redis' : `${server.name} ${server.version ?? ''} ${server.role ?? ''}`
  const status = tint(io, tones[health.status], health.status)
  const title = `${tint(io, 'strong', name.trim())}  ${status}  ${tint(io, 'dim', time)}`
  const reasons = health.reasons.map((reason) => `  ${tint(io, tones[health.status], '!')} ${reason}`)
  if (server === undefined) return [title, ...reasons, ...lastSeen(sample)]
  const { memory, persistence } = server
  const isFull = memory.limitBytes ? (memory.usedBytes ?? 0) / memory.limitBytes > 0.8 : false
  const rows = [
    ['  round trip', health.latency.pingMs === undefined ? 'no answer' : msText(health.latency.pingMs)],
    ['  commands', perSecond(rate(sample, before, ({ health: one }) => one.server?.commandsProcessed))],
    ['  connections', String(server.connectedClients ?? '?')],
    ['  memory', isFull ? tint(io, 'bad', memoryText(memory)) : memoryText(memory)],
    [
      '  evicted',
      `${perSecond(rate(sample, before, ({ health: one }) => one.server?.evictedKeys))} (${server.evictionPolicy ?? 'policy unknown'})`,
    ],
    ['  append-only file', persistence.aof === undefined ? 'unknown' : persistence.aof ? 'on' : 'off'],
    ...(server.replicationLagSeconds === undefined
      ? []
      : [['  replica behind', `${server.replicationLagSeconds} s`]]),
  ]
  const warnings = warningsOf(sample).map((warning) => `  ${tint(io, 'warning', '!')} ${warning}`)
  return [title, ...reasons, ...warnings, ...table(rows)]
}

function lastSeen({ atMs, health, lastUpAtMs }: Sample): readonly string[] {
  if (health.state === 'up') return ['  the server says nothing of itself to this user']
  if (lastUpAtMs === undefined) return ['  it has not answered since this command began']
  return [`  it last answered ${durationText(atMs - lastUpAtMs)} ago`]
}

function memoryText({ usedBytes, limitBytes }: NonNullable<HealthReport['server']>['memory']): string {
  if (usedBytes === undefined) return 'unknown'
  if (!limitBytes) return `${bytesText(usedBytes)}, no limit`
  return `${bytesText(usedBytes)} of ${bytesText(limitBytes)} (${percent(usedBytes / limitBytes)})`
}

function cacheLines(sample: Sample, before: Sample | undefined): readonly string[] {
  const { cache } = sample
  if (cache === undefined || cache.hits + cache.misses + cache.bypassed === 0) return []
  const now = hitRateNow(sample, before)
  const requests = rate(sample, before, ({ cache: one }) => one && sumOf(one, requestCounts))
  return [
    '',
    `cache  ${now === null ? 'no requests now' : `${percent(now)} reused now`}, ${percent(cache.hitRate)} in 30 days; ${perSecond(requests)}, ${cache.errors} errors, ${cache.tokensSaved} tokens saved`,
  ]
}

const reused: readonly CacheCount[] = ['hits', 'stale', 'coalesced']
const lookUps: readonly CacheCount[] = [...reused, 'misses']
const requestCounts: readonly CacheCount[] = [...lookUps, 'bypassed']

type CacheCounts = NonNullable<Sample['cache']>

function sumOf(cache: CacheCounts, names: readonly CacheCount[]): number {
  return names.reduce((sum, name) => sum + cache[name], 0)
}

/** Hit rate of the requests between two samples; `null` if there were none. */
function hitRateNow({ cache }: Sample, before: Sample | undefined): number | null {
  const earlier = before?.cache
  if (cache === undefined || earlier === undefined) return null
  const all = sumOf(cache, lookUps) - sumOf(earlier, lookUps)
  return all <= 0 ? null : (sumOf(cache, reused) - sumOf(earlier, reused)) / all
}

function limiterLines(sample: Sample, before: Sample | undefined, io: Io): readonly string[] {
  if (sample.limiters.length === 0) return []
  return [
    '',
    ...table([
      ['limiter', 'allowed', 'denied', 'in outages', 'instances', 'busiest'],
      ...sample.limiters.map(({ name, instances, fallback, busiest }) => {
        const denied = rate(sample, before, countOf(name, 'denied'))
        return [
          name,
          perSecond(rate(sample, before, countOf(name, 'allowed'))),
          denied ? tint(io, 'warning', perSecond(denied)) : perSecond(denied),
          String(fallback),
          String(instances),
          busiest ?? '',
        ]
      }),
    ]),
  ]
}

function countOf(name: string, count: 'allowed' | 'denied') {
  return ({ limiters }: Sample) => limiters.find((one: LimiterSample) => one.name === name)?.[count]
}

function poolLines(pools: readonly PoolSample[], io: Io): readonly string[] {
  if (pools.length === 0) return []
  return [
    '',
    ...table([
      ['pool', 'serving', 'draining', 'unhealthy', 'lapsed', 'capacity'],
      ...pools.map(({ name, nodes, capacity }) => [
        name,
        String(nodes.serving),
        String(nodes.draining),
        nodes.unhealthy > 0 ? tint(io, 'bad', String(nodes.unhealthy)) : '0',
        nodes.lapsed > 0 ? tint(io, 'bad', String(nodes.lapsed)) : '0',
        String(capacity),
      ]),
    ]),
  ]
}

/** Rate per second; `null` before the second sample, and after a count was reset. */
function rate(
  sample: Sample,
  before: Sample | undefined,
  count: (sample: Sample) => number | undefined,
): number | null {
  const now = count(sample)
  const earlier = before === undefined ? undefined : count(before)
  const seconds = before === undefined ? 0 : (sample.atMs - before.atMs) / 1_000
  if (now === undefined || earlier === undefined || now < earlier || seconds <= 0) return null
  return (now - earlier) / seconds
}

function perSecond(value: number | null): string {
  return value === null ? '-' : `${value < 10 ? Number(value.toFixed(1)) : Math.round(value)}/s`
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

function msText(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : durationText(ms)
}
