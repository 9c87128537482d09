import type { Measurement, MetricTable } from './metrics.js'

/** What is read of the connection when its metrics are collected. */
interface CountedConnection {
  readonly name: string
  readonly inFlight: number
  readonly state: string
  readonly pairs: readonly { readonly name: string; readonly active: boolean }[]
}

/** A label must have few values: every other command counts as 'other'. */
const operations = new Map(
  (
    'APPEND BITCOUNT COPY DECR DECRBY DEL DUMP EVAL EVALSHA EVALSHA_RO EVAL_RO EXEC EXISTS EXPIRE FCALL GET GETDEL ' +
    'GETEX GETSET HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HSCAN HSET HSETNX HVALS INCR INCRBY INFO LINDEX ' +
    'LLEN LPOP LPUSH LRANGE LREM LSET LTRIM MGET MSET MULTI PERSIST PEXPIRE PING PSETEX PTTL PUBLISH RENAME RESTORE ' +
    'ROLE RPOP RPUSH SADD SCAN SCARD SET SETEX SETNX SISMEMBER SMEMBERS SPUBLISH SREM SSCAN STRLEN TIME TTL TYPE ' +
    'UNLINK VADD VSIM XACK XADD XDEL XLEN XRANGE XREAD XREADGROUP XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZRANGE ' +
    'ZRANGEBYSCORE ZRANK ZREM ZSCAN ZSCORE'
  )
    .split(' ')
    .flatMap((name) => [[name, name] as const, [name.toLowerCase(), name] as const]),
)

const states = ['connecting', 'up', 'down', 'closed']

/**
 * Counts of one connection, observed when metrics are collected: a counter of OpenTelemetry's own would keep the
 * connection's values for as long as the process runs.
 */
export class CommandCounts {
  readonly #commands = new Map<string, { ok: number; failed: number }>()
  /** By pair and reason. */
  readonly #fallbacks = new Map<string, Map<string, number>>()
  readonly #transitions = { open: 0, closed: 0 }

  /** The value of the label `operation` for a command. */
  static operation(command: string): string {
    return operations.get(command) ?? 'other'
  }

  command(command: string, succeeded: boolean): string {
    const operation = CommandCounts.operation(command)
    let counts = this.#commands.get(operation)
    if (counts === undefined) {
      counts = { ok: 0, failed: 0 }
      this.#commands.set(operation, counts)
    }
    if (succeeded) counts.ok++
    else counts.failed++
    return operation
  }

  fellBack(pair: string, reason: string): void {
    const reasons = this.#fallbacks.get(pair) ?? new Map<string, number>()
    this.#fallbacks.set(pair, reasons)
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }

  transition(closed: boolean): void {
    this.#transitions[closed ? 'closed' : 'open']++
  }

  /** The metrics of the counts. Each value has a label with the name of its connection. */
  table(subject: CountedConnection): MetricTable {
    const connection = subject.name
    return {
      redis_operations_total: {
        kind: 'counter',
        description: 'Commands that ended, by operation and success',
        observe: () => this.#operations(connection),
      },
      redis_connection_status: {
        kind: 'gauge',
        description: '1 for the state that the connection is in, 0 for the others',
        observe: () =>
          states.map((status) => ({
            value: subject.state === status ? 1 : 0,
            labels: { connection, status },
          })),
      },
      evenkeel_fallback_active: {
        kind: 'gauge',
        description: '1 while memory answers the calls of a package instead of Redis',
        observe: () =>
          subject.pairs.map(({ name, active }) => ({
            value: active ? 1 : 0,
            labels: { connection, package: name },
          })),
      },
      evenkeel_fallback_calls_total: {
        kind: 'counter',
        description: 'Calls that memory answered instead of Redis, by package and reason',
        observe: () => this.#fallbackCalls(connection),
      },
      evenkeel_breaker_transitions_total: {
        kind: 'counter',
        description: 'Openings and closings of the circuit breaker',
        observe: () =>
          Object.entries(this.#transitions).map(([to, value]) => ({ value, labels: { connection, to } })),
      },
      evenkeel_commands_in_flight: {
        kind: 'gauge',
        description: 'Commands that were sent and are not answered yet',
        observe: () => [{ value: subject.inFlight, labels: { connection } }],
      },
    }
  }

  *#operations(connection: string): Iterable<Measurement> {
    for (const [operation, { ok, failed }] of this.#commands) {
      if (ok > 0) yield { value: ok, labels: { connection, operation, success: true } }
      if (failed > 0) yield { value: failed, labels: { connection, operation, success: false } }
    }
  }

  *#fallbackCalls(connection: string): Iterable<Measurement> {
    for (const [name, reasons] of this.#fallbacks)
      for (const [reason, value] of reasons) yield { value, labels: { connection, package: name, reason } }
  }
}
