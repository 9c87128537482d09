import type { ServerHealth } from '../health/report.js'
import type { Measurement, MetricTable } from './metrics.js'

/** What is read of the connection when its server's figures are collected. */
export interface MeasuredConnection {
  readonly name: string
  /** INFO of each primary; empty while Redis is away or if its user may not run INFO. Never rejects. */
  askPrimaries(): Promise<readonly ServerHealth[]>
}

/**
 * Metrics of the memory and replicas of Redis. One INFO is sent to each primary when the connection comes up and at
 * each collection. A collection does not wait for the answers: it reports those of the INFO before.
 */
export class ServerFigures {
  readonly #connection: MeasuredConnection
  #latest: readonly ServerHealth[] = []
  #reading: Promise<void> | undefined

  constructor(connection: MeasuredConnection) {
    this.#connection = connection
  }

  refresh(): void {
    this.#reading ??= this.#connection.askPrimaries().then((answers) => {
      this.#reading = undefined
      // During an outage, the figures from before it are reported.
      if (answers.length > 0) this.#latest = answers
    })
  }

  /** In a Cluster: the primary that is nearest to its memory limit, and the replica that is furthest behind. */
  table(): MetricTable {
    return {
      evenkeel_redis_memory_used_bytes: {
        kind: 'gauge',
        description: 'Memory that Redis uses; in a Cluster, of the primary nearest to its limit',
        unit: 'By',
        observe: () => {
          this.refresh()
          return this.#of(this.#fullest()?.memory.usedBytes)
        },
      },
      evenkeel_redis_memory_limit_bytes: {
        kind: 'gauge',
        description: 'maxmemory of the same server, 0 for none',
        unit: 'By',
        observe: () => this.#of(this.#fullest()?.memory.limitBytes),
      },
      evenkeel_redis_replicas: {
        kind: 'gauge',
        description: 'Replicas that are connected to the primaries',
        observe: () => this.#of(sum(this.#latest.map(({ replicas }) => replicas))),
      },
      evenkeel_redis_replication_lag_seconds: {
        kind: 'gauge',
        description: 'How far the furthest replica is behind its primary; 0 where there is none',
        unit: 's',
        // 0 without replicas, since a value that is no longer observed would be exported unchanged for ever.
        observe: () =>
          this.#of(
            this.#latest.length === 0
              ? undefined
              : Math.max(...this.#latest.map(({ replicationLagSeconds }) => replicationLagSeconds ?? 0)),
          ),
      },
    }
  }

  #fullest(): ServerHealth | undefined {
    return [...this.#latest].sort((one, other) => fullness(other) - fullness(one))[0]
  }

  #of(value: number | undefined): readonly Measurement[] {
    return value === undefined ? [] : [{ value, labels: { connection: this.#connection.name } }]
  }
}

/** The used share of the memory limit. Without a limit it is negative, so that servers with a limit come first. */
function fullness({ memory: { usedBytes = 0, limitBytes = 0 } }: ServerHealth): number {
  return limitBytes > 0 ? usedBytes / limitBytes : -1 / (1 + usedBytes)
}

function sum(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : known.reduce((total, value) => total + value, 0)
}
