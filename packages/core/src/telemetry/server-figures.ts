import type { ServerHealth } from '../health/report.js'
import type { Measurement, MetricTable } from './metrics.js'

/** What is read of the connection when its server's figures are collected. */
export interface MeasuredConnection {
  readonly name: string
  /** What each primary says of itself; empty while Redis is away, and where its user may not ask. Never rejects. */
  askPrimaries(): Promise<readonly ServerHealth[]>
}

/**
 * What Redis says of its memory and replicas. Asked for when the connection comes up and with each collection, one INFO
 * of each primary, so that a collection does not wait: its values are at the oldest those of the one before.
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
      // What the server was like before an outage is told until it answers again.
      if (answers.length > 0) this.#latest = answers
    })
  }

  /** Of a Cluster: the primary that is nearest to its memory limit, the replica that is furthest behind. */
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
        // A value that is no longer observed would stay as it was for ever.
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

/** Share of the limit; without a limit less than any that has one. */
function fullness({ memory: { usedBytes = 0, limitBytes = 0 } }: ServerHealth): number {
  return limitBytes > 0 ? usedBytes / limitBytes : -1 / (1 + usedBytes)
}

function sum(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : known.reduce((total, value) => total + value, 0)
}
