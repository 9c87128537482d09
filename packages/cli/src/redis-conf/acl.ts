/** The packages that talk to Redis. */
export const packageNames = [
  'core',
  'rate-limiter',
  'llm-response-cache',
  'agent-memory',
  'decoder-pool',
] as const

export type PackageName = (typeof packageNames)[number]

/** Needed by the connection itself: sign of life, scripts, the database, names shown by CLIENT LIST, health reports. */
const connection =
  'ping eval evalsha time select info client|setname client|info config|get del get set subscribe unsubscribe ssubscribe sunsubscribe publish spublish scan role command|info'

/** What each package adds, as its scripts and commands use it; the tests run each package as such a user. */
const commands: Readonly<Record<PackageName, string>> = {
  core: 'exists hget hincrby hmget hset pexpire pttl unlink mget',
  'rate-limiter':
    'exists hdel hget hgetall hincrby hmget hset hsetnx pexpire unlink zadd zcard zcount zincrby zrange zrangebyscore zrank zrem zremrangebyscore zscore',
  'llm-response-cache':
    'exists hdel hexists hget hgetall hincrby hincrbyfloat hlen hmget hset hsetnx hvals mget pexpire pexpireat pexpiretime unlink xadd xlen xrange xread zadd zcard zrange zrangebyscore zrem zscore',
  'agent-memory':
    'copy exists hdel hexists hget hgetall hincrby hkeys hlen hmget hset hsetnx pexpire pttl rename unlink xadd xrange xread zadd zcard zrange zrangebylex zrangebyscore zrem zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zscore',
  'decoder-pool':
    'hdel hexists hget hgetall hincrby hkeys hlen hset hsetnx persist pexpire pttl unlink xadd xrevrange zadd zcard zcount zrange zrangebyscore zrem zremrangebyrank zrevrange zscore',
}

/** Rules of an ACL user that runs these packages: its keys, channels and commands, and nothing else. */
export function aclRules(packages: readonly PackageName[], namespace: string): readonly string[] {
  const names = new Set(
    [connection, ...packages.map((name) => commands[name])].flatMap((list) => list.split(' ')),
  )
  return [`~${namespace}*`, `&${namespace}*`, ...[...names].sort().map((name) => `+${name}`)]
}
