import type { Connection } from './connection/connection.js'
import { RedisConnection } from './connection/redis-connection.js'
import { UnavailableError } from './errors.js'
import { loadBreaker } from './guard/breaker.js'
import { reportOutages } from './health/outage-notice.js'
import { type Logger, notify } from './kit/logger.js'
import { type Environment, readEnvironment } from './options/environment.js'
import { type ConnectOptions, checkOptionNames, type ResolvedOptions, resolveOptions } from './options.js'
import { startTelemetry, type TelemetrySubject } from './telemetry/commands.js'
import { claimName, defaultName } from './telemetry/connection-name.js'
import { createProvider } from './topology/create-provider.js'

/**
 * Connects to Redis. Resolves while Redis is away too (unless `required`), and keeps trying to connect. If the options
 * do not say where Redis is, the environment does (`REDIS_URL`, `REDIS_HOST` …), else it is `127.0.0.1:6379`.
 *
 * @throws InvalidOptionError before any I/O; EvenkeelError `CREDENTIALS_REFUSED`; with `required`,
 * UnavailableError if the first attempt fails.
 * @example
 * const redis = await connect({ url: 'redis://localhost:6379' })
 */
export async function connect(
  options: ConnectOptions = {},
  env: Environment = process.env,
): Promise<Connection> {
  checkOptionNames(options)
  const fromEnvironment = readEnvironment(env, options)
  const resolved = resolveOptions(fromEnvironment.options, fromEnvironment.sources)
  const provider = await createProvider(resolved)
  warnOfIgnored(fromEnvironment.ignored, resolved.logger)
  const connection = new RedisConnection({
    provider,
    logger: resolved.logger,
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
  const claimed = claimName(resolved.name ?? defaultName(resolved.topology))
  connection.on('close', claimed.release)
  try {
    const subject = telemetrySubject(connection, claimed.name, resolved)
    connection.on('close', await startTelemetry(resolved.telemetry, subject))
    await connection.start()
    if (resolved.required && connection.state !== 'up') {
      throw new UnavailableError(
        'CONNECTION_DOWN',
        `Redis can't be used: ${connection.downReason}`,
        'not-sent',
      )
    }
    await tellMissingPermissions(connection, resolved.logger)
    reportOutages(connection, claimed.name, resolved.logger)
    return connection
  } catch (error) {
    await connection.close()
    throw error
  }
}

function warnOfIgnored(variables: readonly string[], logger: Logger | undefined): void {
  if (variables.length === 0) return
  const message = `REDIS_URL counts as a whole; what ${variables.join(', ')} says otherwise is ignored.`
  notify(logger, 'warn', message, 'EVENKEEL_ENVIRONMENT')
}

async function tellMissingPermissions(
  connection: RedisConnection,
  logger: Logger | undefined,
): Promise<void> {
  const missing = await connection.missingPermissions()
  if (missing.length === 0) return
  const message = `The Redis user may not use ${missing.join(', ')}: calls that need it are refused (docs/acl.md lists what each package needs)`
  notify(logger, 'warn', message, 'EVENKEEL_ACL')
}

function telemetrySubject(
  connection: RedisConnection,
  name: string,
  { topology }: ResolvedOptions,
): TelemetrySubject {
  return {
    name,
    askPrimaries: () => connection.askPrimaries(),
    onUp: (listener) => connection.on('up', listener),
    report: (telemetry) => connection.useTelemetry(telemetry),
    address:
      topology.kind === 'standalone' && topology.address.path === undefined ? topology.address : undefined,
    database: topology.kind === 'standalone' || topology.kind === 'sentinel' ? topology.database : undefined,
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
