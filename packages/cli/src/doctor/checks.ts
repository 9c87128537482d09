import { bytesText, counted } from '../output.js'
import type { Purpose } from '../redis-conf/finding.js'
import type { Facts } from './facts.js'
import { type Finding, failure, ok, warning } from './finding.js'

export interface Surroundings {
  readonly purpose: Purpose | undefined
  /** Whether the connection leaves this machine, and whether it is encrypted. */
  readonly isRemote: boolean
  readonly isTls: boolean
}

type Check = (facts: Facts, surroundings: Surroundings) => readonly Finding[]

/** All findings that follow from facts alone. */
export function checkFacts(facts: Facts, surroundings: Surroundings): readonly Finding[] {
  return checks.flatMap((check) => check(facts, surroundings))
}

const checks: readonly Check[] = [
  roundTrip,
  version,
  role,
  memoryLimit,
  memoryUse,
  evictionPolicy,
  persistence,
  lastSave,
  password,
  encryption,
  clients,
  replicas,
  slowCommands,
  clock,
  checkCluster,
]

function roundTrip({ roundTripsMs }: Facts): readonly Finding[] {
  const median = roundTripsMs[Math.floor(roundTripsMs.length / 2)]
  if (median === undefined) return []
  const message = `a round trip takes ${median.toFixed(1)} ms`
  if (median < 20) return [ok('round-trip', message)]
  return [
    warning(
      'round-trip',
      message,
      'every limited or cached call pays it at least once',
      'run Redis in the same zone as the service',
    ),
  ]
}

function version({ info }: Facts): readonly Finding[] {
  const valkey = info.get('valkey_version')
  const redis = info.get('redis_version')
  const found = valkey ?? redis
  if (found === undefined) return []
  const name = `${valkey === undefined ? 'Redis' : 'Valkey'} ${found}`
  if (Number.parseInt(found, 10) >= 7) return [ok('version', name)]
  return [
    failure(
      'version',
      name,
      'scripts use commands of Redis 7.0',
      'upgrade to Redis 7.0 or later, or Valkey 8',
    ),
  ]
}

function role({ info }: Facts): readonly Finding[] {
  const found = info.get('role')
  if (found === undefined || found === 'master') return []
  return [
    failure(
      'role',
      'this is a replica',
      'it refuses writes, so everything stays in memory',
      'name the primary, or connect through Sentinel',
    ),
  ]
}

function memoryLimit({ info }: Facts): readonly Finding[] {
  const limit = numberIn(info, 'maxmemory')
  if (limit === undefined) return []
  if (limit > 0) return [ok('memory-limit', `maxmemory is ${bytesText(limit)}`)]
  return [
    warning(
      'memory-limit',
      'maxmemory is not set',
      'the server grows until the kernel ends it, with everything that it holds',
      'CONFIG SET maxmemory, to about 70 % of the machine',
    ),
  ]
}

function memoryUse({ info }: Facts): readonly Finding[] {
  const limit = numberIn(info, 'maxmemory')
  const used = numberIn(info, 'used_memory')
  if (!limit || used === undefined) return []
  const share = used / limit
  const message = `${Math.round(share * 100)} % of the memory limit is used`
  if (share < 0.8) return [ok('memory-use', message)]
  const why = 'at the limit keys are evicted or writes refused, by the eviction policy'
  const mend = 'raise maxmemory, shorten times to live, or move caches to a server of their own'
  return [
    share < 0.95 ? warning('memory-use', message, why, mend) : failure('memory-use', message, why, mend),
  ]
}

function evictionPolicy({ info, config }: Facts, { purpose }: Surroundings): readonly Finding[] {
  const policy = config.get('maxmemory-policy') ?? info.get('maxmemory_policy')
  if (policy === undefined) return []
  const message = `maxmemory-policy is ${policy}`
  if (policy.startsWith('allkeys-') && purpose !== 'cache') {
    const why = 'conversations, limits and registered nodes may be evicted'
    const mend =
      purpose === 'memory'
        ? 'CONFIG SET maxmemory-policy noeviction'
        : 'CONFIG SET maxmemory-policy volatile-lru'
    return [
      purpose === undefined
        ? warning('eviction-policy', message, why, mend)
        : failure('eviction-policy', message, why, mend),
    ]
  }
  if (policy === 'noeviction' && purpose === 'cache') {
    return [
      warning(
        'eviction-policy',
        message,
        'a full cache refuses writes instead of forgetting what is not asked for',
        'CONFIG SET maxmemory-policy allkeys-lru',
      ),
    ]
  }
  return [ok('eviction-policy', message)]
}

function persistence({ info }: Facts, { purpose }: Surroundings): readonly Finding[] {
  const aof = info.get('aof_enabled')
  if (aof === undefined || purpose === 'cache') return []
  if (aof === '1') return [ok('persistence', 'the append-only file is on')]
  const message = 'the append-only file is off'
  const why = 'a restart loses what was acknowledged since the last snapshot'
  const mend = 'CONFIG SET appendonly yes, then CONFIG REWRITE'
  return [
    purpose === 'memory'
      ? failure('persistence', message, why, mend)
      : warning('persistence', message, why, mend),
  ]
}

function lastSave({ info }: Facts): readonly Finding[] {
  const failed = [
    info.get('rdb_last_bgsave_status') === 'err' ? 'the last snapshot failed' : undefined,
    info.get('aof_last_write_status') === 'err' ? 'the last write to the append-only file failed' : undefined,
    info.get('aof_last_bgrewrite_status') === 'err'
      ? 'the last rewrite of the append-only file failed'
      : undefined,
  ].filter((message) => message !== undefined)
  return failed.map((message) =>
    failure(
      'last-save',
      message,
      'the server refuses writes until it works again',
      "look at the server's log, and at the free space and rights of its folder",
    ),
  )
}

function password({ isOpen, config }: Facts, { isRemote }: Surroundings): readonly Finding[] {
  if (isOpen === undefined) return []
  if (!isOpen) return [ok('password', 'no client is let in without a password')]
  const bind = config.get('bind') ?? ''
  const isPublic =
    isRemote || bind.split(' ').some((address) => address !== '' && !/^-?(127\.|::1$)/.test(address))
  const message = 'the default user needs no password'
  const why = 'everybody who reaches the port reads and changes everything, and can run code on the server'
  const mend = 'evenkeel redis-conf generate --password-env NAME, or CONFIG SET requirepass'
  if (!isPublic) return [ok('password', `${message}, and the server listens on this machine alone`)]
  // protected-mode makes no difference: it also refuses every service on another machine.
  return [failure('password', message, why, mend)]
}

function encryption(_: Facts, { isRemote, isTls }: Surroundings): readonly Finding[] {
  if (!isRemote) return []
  if (isTls) return [ok('encryption', 'the connection is encrypted')]
  return [
    warning(
      'encryption',
      'the connection is not encrypted',
      'passwords, prompts and answers cross the network in the clear',
      'use rediss://, or a private network that encrypts',
    ),
  ]
}

function clients({ info, config }: Facts): readonly Finding[] {
  const connected = numberIn(info, 'connected_clients')
  const most = numberIn(info, 'maxclients') ?? Number(config.get('maxclients'))
  if (connected === undefined || !most) return []
  const message = `${connected} of ${most} connections are open`
  if (connected < most * 0.8) return [ok('clients', message)]
  return [
    warning(
      'clients',
      message,
      'at the limit new instances are refused and answer from memory',
      'raise maxclients, or look for clients that leak (CLIENT LIST)',
    ),
  ]
}

function replicas({ info }: Facts): readonly Finding[] {
  const followers = [...info].filter(([name]) => /^slave\d+$/.test(name))
  return followers.flatMap(([, value]) => {
    const lag = Number(/lag=(\d+)/.exec(value)?.[1] ?? 0)
    if (/state=online/.test(value) && lag <= 10) return [ok('replica', `a replica is ${lag} s behind`)]
    const state = /state=([a-z_]+)/.exec(value)?.[1]
    return [
      warning(
        'replica',
        state === 'online' ? `a replica is ${lag} s behind` : `a replica is ${state}`,
        'a failover to it loses what it has not received',
        "look at the replica's log and at the network between the two",
      ),
    ]
  })
}

function slowCommands({ slowCommands: slow }: Facts): readonly Finding[] {
  const [slowest] = [...slow].sort((one, other) => other.ms - one.ms)
  if (slowest === undefined) return [ok('slow-commands', 'no command of the slow log took more than 100 ms')]
  const names = [...new Set(slow.map(({ name }) => name))].join(', ')
  return [
    warning(
      'slow-commands',
      `${counted(slow.length, 'command')} took more than 100 ms (${names}; ${slowest.ms} ms at most)`,
      'all others wait while one runs',
      'SLOWLOG GET shows them; KEYS, large values and long scripts are the usual causes',
    ),
  ]
}

function clock({ clockSkewMs }: Facts): readonly Finding[] {
  if (clockSkewMs === undefined) return []
  const seconds = Math.round(clockSkewMs / 100) / 10
  if (Math.abs(clockSkewMs) < 1_000) return [ok('clock', "the server's clock agrees with this machine's")]
  return [
    warning(
      'clock',
      `the server's clock is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead' : 'behind'}`,
      'what an instance judges by itself in an outage differs from what Redis judged',
      'synchronise both clocks (chrony, systemd-timesyncd)',
    ),
  ]
}

export function checkCluster({ cluster: info }: Pick<Facts, 'cluster'>): readonly Finding[] {
  if (info === undefined) return []
  const [state, assigned, failing] = [
    info.get('cluster_state'),
    info.get('cluster_slots_assigned'),
    info.get('cluster_slots_fail'),
  ]
  if (state === 'ok' && assigned === '16384' && failing === '0')
    return [ok('cluster', `all slots are served by ${info.get('cluster_size')} primaries`)]
  return [
    failure(
      'cluster',
      `the Cluster is ${state}: ${assigned} of 16384 slots are assigned, ${failing} fail`,
      'calls for those slots are answered from memory',
      'redis-cli --cluster check, then --cluster fix',
    ),
  ]
}

function numberIn(info: ReadonlyMap<string, string>, field: string): number | undefined {
  const value = Number(info.get(field) ?? Number.NaN)
  return Number.isFinite(value) ? value : undefined
}
