import type { ConnectionState, Durability, FailoverState } from '../connection/state.js'
import type { BreakerCounts } from '../guard/breaker.js'
import { type Info, numberOf } from './info.js'

/** What a server reports about itself. A field is missing if the server did not report it or its ACL forbids it. */
export interface ServerHealth {
  readonly name: string
  readonly version: string | undefined
  readonly role: string | undefined
  readonly uptimeSeconds: number | undefined
  readonly connectedClients: number | undefined
  readonly commandsProcessed: number | undefined
  readonly memory: {
    readonly usedBytes: number | undefined
    readonly peakBytes: number | undefined
    /** `maxmemory` in bytes; 0 if there is no limit. */
    readonly limitBytes: number | undefined
    readonly fragmentation: number | undefined
  }
  /** Replicas that are connected to this server. */
  readonly replicas: number | undefined
  /** Seconds that a replica is behind; on a primary, those of the replica that is furthest behind. */
  readonly replicationLagSeconds: number | undefined
  readonly persistence: {
    readonly aof: boolean | undefined
    readonly lastSaveOk: boolean | undefined
    readonly lastAppendOk: boolean | undefined
  }
  readonly evictionPolicy: string | undefined
  readonly evictedKeys: number | undefined
  readonly expiredKeys: number | undefined
  readonly keyspaceHits: number | undefined
  readonly keyspaceMisses: number | undefined
  /** Share of look-ups that found a key, from 0 to 1; `undefined` before the first look-up. */
  readonly hitRate: number | undefined
}

export interface PairHealth {
  readonly name: string
  /** What a loss of the pair's data in Redis means. */
  readonly durability: Durability
  readonly state: FailoverState
  /** For how many milliseconds memory has answered; 0 while Redis answers. */
  readonly fallbackForMs: number
  readonly entries: number | undefined
  readonly bytes: number | undefined
}

export interface HealthReport {
  /** `unhealthy`: Redis can't be used. `degraded`: it can, but something is wrong. */
  readonly status: 'healthy' | 'degraded' | 'unhealthy'
  readonly reasons: readonly string[]
  readonly state: ConnectionState
  readonly topology: 'standalone' | 'cluster' | undefined
  readonly client: string | undefined
  readonly latency: {
    /** Latency of this check's PING. */
    readonly pingMs: number | undefined
    /** Percentiles of this process's commands in the last minute. */
    readonly p50Ms: number | undefined
    readonly p99Ms: number | undefined
  }
  readonly inFlight: number
  readonly breaker: BreakerCounts & { readonly closed: boolean; readonly reason: string }
  readonly fallback: { readonly active: boolean; readonly pairs: readonly PairHealth[] }
  /** Whether the check could set, read and delete a key of its own. */
  readonly operations: { readonly set: boolean; readonly get: boolean; readonly delete: boolean }
  readonly server: ServerHealth | undefined
}

export function serverHealth(info: Info, evictionPolicy: string | undefined): ServerHealth {
  const hits = numberOf(info, 'keyspace_hits')
  const misses = numberOf(info, 'keyspace_misses')
  const lookUps = (hits ?? 0) + (misses ?? 0)
  // For old clients, Valkey also claims to be Redis 7.2.4.
  const valkey = info.get('valkey_version')
  return {
    name: info.get('server_name') ?? (valkey === undefined ? 'redis' : 'valkey'),
    version: valkey ?? info.get('redis_version'),
    role: info.get('role'),
    uptimeSeconds: numberOf(info, 'uptime_in_seconds'),
    connectedClients: numberOf(info, 'connected_clients'),
    commandsProcessed: numberOf(info, 'total_commands_processed'),
    memory: {
      usedBytes: numberOf(info, 'used_memory'),
      peakBytes: numberOf(info, 'used_memory_peak'),
      limitBytes: numberOf(info, 'maxmemory'),
      fragmentation: numberOf(info, 'mem_fragmentation_ratio'),
    },
    replicas: numberOf(info, 'connected_slaves'),
    replicationLagSeconds: lagOf(info),
    persistence: {
      aof: flag(info, 'aof_enabled', '1'),
      lastSaveOk: flag(info, 'rdb_last_bgsave_status', 'ok'),
      lastAppendOk: flag(info, 'aof_last_write_status', 'ok'),
    },
    evictionPolicy: evictionPolicy ?? info.get('maxmemory_policy'),
    evictedKeys: numberOf(info, 'evicted_keys'),
    expiredKeys: numberOf(info, 'expired_keys'),
    keyspaceHits: hits,
    keyspaceMisses: misses,
    hitRate: lookUps === 0 ? undefined : (hits ?? 0) / lookUps,
  }
}

function flag(info: Info, field: string, yes: string): boolean | undefined {
  const value = info.get(field)
  return value === undefined ? undefined : value === yes
}

function lagOf(info: Info): number | undefined {
  if (info.get('role') !== 'master') return numberOf(info, 'master_last_io_seconds_ago')
  const lags = [...info].flatMap(([field, value]) =>
    /^slave\d+$/.test(field) ? [Number(/lag=(\d+)/.exec(value)?.[1])] : [],
  )
  return lags.length === 0 ? undefined : Math.max(...lags)
}
