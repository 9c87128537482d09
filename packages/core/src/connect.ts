import type { Connection } from './connection/connection.js'
import { RedisConnection } from './connection/redis-connection.js'
import { UnavailableError } from './errors.js'
import { loadBreaker } from './guard/breaker.js'
import { type Environment, readEnvironment } from './options/environment.js'
import { type ConnectOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { createTelemetry, type TelemetrySubject } from './telemetry/commands.js'
import { createProvider } from './topology/create-provider.js'

/**
 * Connects to Redis, or gets ready to: resolves also while Redis is away (unless `required`), and goes on
 * trying. Without a location in the options, the environment says where Redis is (`REDIS_URL`,
 * `REDIS_HOST` …).
 *
 * @throws InvalidOptionError before any I/O; EvenkeelError `CREDENTIALS_REFUSED`; with `required`,
 * UnavailableError when the first attempt fails.
 * @example
 * const redis = await connect({ url: 'redis://localhost:6379' })
 */
export async function connect(
  options: ConnectOptions = {},
  env: Environment = process.env,
): Promise<Connection> {
  const resolved = resolveOptions(readEnvironment(env, options))
  const provider = await createProvider(resolved)
  const connection = new RedisConnection({
    provider,
    namespace: provider.keyPrefix + resolved.namespace,
    commandTimeoutMs: resolved.commandTimeoutMs,
    connectionTimeoutMs: resolved.connectionTimeoutMs,
    maxInFlight: resolved.maxInFlight,
    enableOfflineQueue: resolved.enableOfflineQueue,
    autoResync: resolved.autoResync,
    createBreaker: await loadBreaker(resolved.breaker),
    healthCheckIntervalMs: resolved.healthCheckIntervalMs,
    alerts: resolved.alerts,
  })
  const telemetry = await createTelemetry(resolved.telemetry, telemetrySubject(connection, resolved))
  if (telemetry !== undefined) connection.useTelemetry(telemetry)
  try {
    await connection.start()
    if (resolved.required && connection.state !== 'up') {
      throw new UnavailableError(
        'CONNECTION_DOWN',
        `Redis is required and ${connection.downReason}`,
        'not-sent',
      )
    }
    await tellMissingPermissions(connection)
    return connection
  } catch (error) {
    await connection.close()
    throw error
  }
}

async function tellMissingPermissions(connection: RedisConnection): Promise<void> {
  const missing = await connection.missingPermissions()
  if (missing.length === 0) return
  process.emitWarning(
    `The Redis user may not use ${missing.join(', ')}: calls that need it are refused (docs/acl.md lists what each package needs)`,
    { code: 'EVENKEEL_ACL' },
  )
}

function telemetrySubject(connection: RedisConnection, { topology }: ResolvedOptions): TelemetrySubject {
  return {
    address:
      topology.kind === 'standalone' && topology.address.path === undefined ? topology.address : undefined,
    get inFlight() {
      return connection.inFlight
    },
    get state() {
      return connection.state
    },
    get pairs() {
      return connection.vitals().pairs.map(({ name, state }) => ({ name, active: state !== 'primary' }))
    },
  }
}
