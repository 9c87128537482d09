/** What a user may be allowed to run: the packages that talk to Redis, and what some of them use of newer servers. */
export const packageNames = [
  'core',
  'rate-limiter',
  'llm-response-cache',
  'agent-memory',
  'decoder-pool',
  'vectors',
] as const

export type PackageName = (typeof packageNames)[number]

/** Commands that all packages need: scripts and their clock, messages, and those of `connect()`. */
const needed = 'eval evalsha time get unlink publish subscribe'

/**
 * Commands that are used if they are allowed: PING, the key of the health check, names for CLIENT LIST, databases other
 * than 0, health reports, Cluster, Sentinel. Without them reports show less, and a Cluster or database can't be used.
 */
const useful =
  'ping set del select info role unsubscribe client|setname config|get command|info cluster|slots cluster|shards readonly asking ssubscribe sunsubscribe spublish'

/** The commands that each package adds. The tests run as such a user, and also without each single permission. */
const own: Readonly<Record<PackageName, string>> = {
  // The key-value store, locks, health and transactions.
  core: 'set del hget hmget hset pexpire pttl scan multi exec',
  'rate-limiter':
    'set del hdel hget hgetall hincrby hmget hset hsetnx pexpire scan zadd zcard zcount zincrby zrange zrangebyscore zrank zrem zremrangebyscore zscore',
  'llm-response-cache':
    'set del eval_ro evalsha_ro exists hdel hexists hget hgetall hincrby hincrbyfloat hlen hmget hset hsetnx hvals mget pexpire pexpireat pexpiretime scan xadd xlen xrange zadd zcard zrange zrangebyscore zrem zscore',
  'agent-memory':
    'eval_ro evalsha_ro copy exists hdel hexists hget hgetall hincrby hkeys hlen hmget hrandfield hset hsetnx hstrlen hvals incr pexpire pttl rename scan xadd xrange zadd zcard zrange zrangebylex zrangebyscore zrem zremrangebyscore zrevrange zrevrangebylex zscore zunionstore',
  'decoder-pool':
    'set del exists hdel hexists hget hgetall hincrby hkeys hlen hset hsetnx persist pexpire pttl xadd xrevrange zadd zcard zcount zrange zrangebyscore zrem zremrangebyrank zrevrange zscore',
  // Semantic look-up and recall with vector search in the server, which only Redis 8 has.
  vectors: 'vadd vrem vsim',
}

export interface Permissions {
  /** If one of these is missing, a part of the package fails. */
  readonly needed: readonly string[]
  readonly useful: readonly string[]
}

/** The commands of a package's user, as ACL rules name them. */
export function permissionsOf(name: PackageName): Permissions {
  return { needed: wordsOf(`${needed} ${own[name]}`), useful: wordsOf(useful) }
}

/** The rules of an ACL user that runs these packages: their keys, channels and commands, and nothing else. */
export function aclRules(packages: readonly PackageName[], namespace: string): readonly string[] {
  const commands = packages.flatMap((name) => [...permissionsOf(name).needed, ...permissionsOf(name).useful])
  const rules = [...new Set(commands)].sort().map((name) => `+${name}`)
  return [`~${namespace}*`, `&${namespace}*`, ...rules]
}

function wordsOf(list: string): readonly string[] {
  return [...new Set(list.split(' '))].sort()
}
