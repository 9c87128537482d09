import type { HealthReport, PairHealth } from './report.js'

export type AlertName =
  | 'down'
  | 'memory'
  | 'slow'
  | 'replication-lag'
  | 'eviction-policy'
  | 'aof-off'
  | 'clock-jump'

export interface Alert {
  readonly name: AlertName
  readonly message: string
}

export interface AlertThresholds {
  /** Memory in use, as a share of `maxmemory`, from 0 to 1. @default 0.8 */
  readonly memory?: number | undefined
  /** Milliseconds, for the PING and the 99th percentile of commands. @default 100 */
  readonly slowMs?: number | undefined
  /** Seconds that a replica may be behind. @default 10 */
  readonly replicationLagSeconds?: number | undefined
}

/** An alert clears only well below its threshold, so that a value near it does not raise the alert again and again. */
const clearAt = 0.9

/** The alerts of a report, given the alerts that are already raised. Pure. */
export function alertsOf(
  report: HealthReport,
  thresholds: AlertThresholds,
  held: ReadonlySet<AlertName>,
  clockJumped: boolean,
): readonly Alert[] {
  const { memory = 0.8, slowMs = 100, replicationLagSeconds = 10 } = thresholds
  const { server, latency, fallback } = report
  const over = (name: AlertName, value: number | undefined, threshold: number) =>
    value !== undefined && value > threshold * (held.has(name) ? clearAt : 1)
  const used = server?.memory.limitBytes
    ? (server.memory.usedBytes ?? 0) / server.memory.limitBytes
    : undefined
  const slowest = Math.max(latency.pingMs ?? 0, latency.p99Ms ?? 0)
  const kept = namesOf(fallback.pairs.filter(({ durability }) => durability !== 'disposable'))
  const durable = namesOf(fallback.pairs.filter(({ durability }) => durability === 'durable'))
  const alerts: (Alert | false)[] = [
    report.state !== 'up' && { name: 'down', message: `Redis is ${report.state}: ${report.breaker.reason}` },
    over('memory', used, memory) && {
      name: 'memory',
      message: `Redis uses ${percent(used)} of its memory limit`,
    },
    over('slow', slowest, slowMs) && { name: 'slow', message: `Redis takes ${Math.round(slowest)} ms` },
    over('replication-lag', server?.replicationLagSeconds, replicationLagSeconds) && {
      name: 'replication-lag',
      message: `A replica is ${server?.replicationLagSeconds} s behind`,
    },
    kept !== '' &&
      server?.evictionPolicy?.startsWith('allkeys-') === true && {
        name: 'eviction-policy',
        message: `maxmemory-policy ${server.evictionPolicy} may evict what must stay (${kept}); use noeviction or volatile-lru`,
      },
    durable !== '' &&
      server?.persistence.aof === false && {
        name: 'aof-off',
        message: `appendonly is off: a restart of Redis loses what must outlive it (${durable})`,
      },
    clockJumped && { name: 'clock-jump', message: "This machine's clock jumped" },
  ]
  return alerts.filter((alert) => alert !== false)
}

/** Each name once, since every instance of a package is a pair. */
function namesOf(pairs: readonly PairHealth[]): string {
  return [...new Set(pairs.map(({ name }) => name))].join(', ')
}

function percent(share: number | undefined): string {
  return `${Math.round((share ?? 0) * 100)} %`
}
