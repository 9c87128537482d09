import type { LibraryOption } from './clients/detect.js'
import { InvalidOptionError } from './errors.js'
import type { BreakerOptions as BreakerSettings } from './guard/breaker.js'
import type { AlertThresholds } from './health/alerts.js'
import type { Duration } from './kit/duration.js'
import type { Logger } from './kit/logger.js'
import { option } from './kit/validate.js'
import {
  type LocationOptions,
  type OptionSources,
  resolveTopology,
  type Topology,
} from './options/location.js'
import { resolveTelemetry, type TelemetryOptions } from './telemetry/options.js'

export type {
  LocationOptions,
  OptionSources,
  Password,
  Replica,
  Topology,
} from './options/location.js'
export type { HostAndPort, NodeAddress } from './options/url.js'

/** When the circuit breaker stops sending commands to a Redis that fails, and when it tries again. */
export interface BreakerOptions {
  /** Percentage of failed commands within `window` at which the breaker opens, from 1 to 100. @default 50 */
  readonly errorThresholdPercentage?: number | undefined
  /** The breaker does not open before `window` holds this many outcomes. @default 20 */
  readonly volumeThreshold?: number | undefined
  /** Over how long the breaker counts outcomes. @default '10s' */
  readonly window?: Duration | undefined
  /** How long the breaker stays open before it first tries Redis again. @default '250ms' */
  readonly resetTimeout?: Duration | undefined
  /** The longest pause between two trials. @default '750ms', so that a recovered Redis is used within a second */
  readonly maxResetTimeout?: Duration | undefined
}

/** Thresholds at which the health monitor raises alerts. */
export interface AlertOptions {
  /** Memory in use, as a share of `maxmemory`, from 0 to 1. @default 0.8 */
  readonly memory?: number | undefined
  /** Latency of the PING, and the 99th percentile of this process's commands. @default '100ms' */
  readonly slow?: Duration | undefined
  /** How far a replica may be behind its primary. @default '10s' */
  readonly replicationLag?: Duration | undefined
}

export interface ConnectOptions extends LocationOptions {
  /**
   * The client library of our own connections.
   * @default the first that is installed of `redis`, `ioredis`, `iovalkey` and `@valkey/valkey-glide`
   */
  readonly library?: LibraryOption | undefined
  /**
   * Number of connections to the server. One pipelined connection is normally the fastest; more help with large values.
   * @default 1
   */
  readonly poolSize?: number | undefined
  /**
   * The connection's name in metrics and warnings, for a process that has more than one.
   * @default its address, such as `127.0.0.1:6379/0`
   */
  readonly name?: string | undefined
  /** Prefix of every key and channel. A missing `:` is added at its end. @default 'evenkeel:' */
  readonly namespace?: string | undefined
  /** Takes the database from the variable `REDIS_DB_<SERVICE>`: `'ai-agents'` reads `REDIS_DB_AI_AGENTS`. */
  readonly service?: string | undefined
  /** `connect()` rejects when Redis can't be used, instead of resolving and answering from memory. @default false */
  readonly required?: boolean | undefined

  /** Deadline of each command, from 1 ms to 10 minutes. @default '500ms' */
  readonly commandTimeout?: Duration | undefined
  /** Deadline of each attempt to connect, for TCP, TLS and handshake together. @default '5s' */
  readonly connectionTimeout?: Duration | undefined
  /** How many commands may be in flight. Further ones reject at once with `OVERLOADED`. @default 10_000 */
  readonly maxInFlight?: number | undefined
  /** While the connection is down, commands wait for it until their deadline instead of rejecting. @default false */
  readonly enableOfflineQueue?: boolean | undefined
  /** Recovery starts as soon as Redis is back. With `false`, `redis.resync()` starts it. @default true */
  readonly enableAutoResync?: boolean | undefined
  readonly breaker?: BreakerOptions | undefined
  /** Pause between two health checks of the monitor, at least 100 ms. @default '30s' */
  readonly healthCheckInterval?: Duration | undefined
  readonly alerts?: AlertOptions | undefined
  /**
   * Receives one line when Redis can't be used and one when it can again, and the warnings of the packages that use
   * this connection: pino, `console`, or any object with `info` and `warn`.
   * @default process.emitWarning, with a code that begins with EVENKEEL_ (EVENKEEL_REDIS_DOWN and _UP here)
   */
  readonly logger?: Logger | undefined
  /** OpenTelemetry. `true` uses the SDK that the host registers, before or after `connect()`. @default true */
  readonly telemetry?: boolean | TelemetryOptions | undefined
}

export interface ResolvedOptions {
  readonly topology: Topology
  readonly library: LibraryOption | undefined
  readonly poolSize: number
  readonly name: string | undefined
  readonly namespace: string
  readonly required: boolean
  readonly commandTimeoutMs: number
  readonly connectionTimeoutMs: number
  readonly maxInFlight: number
  readonly enableOfflineQueue: boolean
  readonly autoResync: boolean
  readonly breaker: BreakerSettings
  readonly healthCheckIntervalMs: number
  readonly alerts: AlertThresholds
  readonly logger: Logger | undefined
  readonly telemetry: boolean | TelemetryOptions
}

const names: Readonly<Record<keyof ConnectOptions, true>> = {
  client: true,
  url: true,
  host: true,
  port: true,
  username: true,
  password: true,
  database: true,
  tls: true,
  cluster: true,
  sentinel: true,
  replicas: true,
  readFrom: true,
  library: true,
  poolSize: true,
  name: true,
  namespace: true,
  service: true,
  required: true,
  commandTimeout: true,
  connectionTimeout: true,
  maxInFlight: true,
  enableOfflineQueue: true,
  enableAutoResync: true,
  breaker: true,
  healthCheckInterval: true,
  alerts: true,
  logger: true,
  telemetry: true,
}

/** Option names of the client libraries, and the names of the same options here. */
const otherNames: Readonly<Record<string, keyof ConnectOptions>> = {
  socket: 'host',
  path: 'url',
  db: 'database',
  user: 'username',
  keyPrefix: 'namespace',
  prefix: 'namespace',
  timeout: 'commandTimeout',
  connectTimeout: 'connectionTimeout',
  sentinels: 'sentinel',
  nodes: 'cluster',
  rootNodes: 'cluster',
}

const libraries: Readonly<Record<Extract<LibraryOption, string>, true>> = {
  redis: true,
  ioredis: true,
  iovalkey: true,
  '@valkey/valkey-glide': true,
}

/**
 * Refuses unknown option names before the environment is read, so that a variable can't hide a typo.
 *
 * @throws InvalidOptionError
 */
export function checkOptionNames(options: unknown): asserts options is ConnectOptions {
  if (typeof options === 'string' || options instanceof URL) {
    throw new InvalidOptionError('options', 'an object, such as { url }', String(options))
  }
  option.object('options', options as object)
  for (const [other, name] of Object.entries(otherNames)) {
    if (Object.hasOwn(options as object, other)) {
      const expected = `no member of this name (did you mean '${name}'?)`
      throw new InvalidOptionError(other, expected, Reflect.get(options as object, other))
    }
  }
  option.members<ConnectOptions>('', options as ConnectOptions, names)
}

/**
 * Checks every option and fills in the defaults. `sources` names the variables that options came from.
 *
 * @throws InvalidOptionError before any I/O
 */
export function resolveOptions(options: ConnectOptions, sources: OptionSources = {}): ResolvedOptions {
  checkOptionNames(options)
  const field = (name: keyof ConnectOptions) => sources[name] ?? name
  const flag = (name: 'required' | 'enableOfflineQueue' | 'enableAutoResync', byDefault: boolean) =>
    option.flag(field(name), options[name] ?? byDefault)
  const timeout = (name: 'commandTimeout' | 'connectionTimeout', byDefault: Duration) =>
    option.duration(field(name), options[name] ?? byDefault, { minMs: 1, maxMs: 600_000 })
  if (options.service !== undefined) option.text('service', options.service)
  return {
    topology: resolveTopology(options, sources),
    library: resolveLibrary(options.library),
    poolSize: option.integer(field('poolSize'), options.poolSize ?? 1, { max: 128 }),
    name: options.name === undefined ? undefined : option.text('name', options.name, { max: 100 }),
    namespace: resolveNamespace(field('namespace'), options.namespace ?? 'evenkeel:'),
    required: flag('required', false),
    commandTimeoutMs: timeout('commandTimeout', '500ms'),
    connectionTimeoutMs: timeout('connectionTimeout', '5s'),
    maxInFlight: option.integer('maxInFlight', options.maxInFlight ?? 10_000, { max: 10_000_000 }),
    enableOfflineQueue: flag('enableOfflineQueue', false),
    autoResync: flag('enableAutoResync', true),
    breaker: resolveBreaker(options.breaker ?? {}),
    healthCheckIntervalMs: option.duration(
      field('healthCheckInterval'),
      options.healthCheckInterval ?? '30s',
      { minMs: 100 },
    ),
    alerts: resolveAlerts(options.alerts ?? {}),
    logger: resolveLogger(options.logger),
    telemetry: resolveTelemetry(options.telemetry ?? true),
  }
}

function resolveLibrary(library: unknown): LibraryOption | undefined {
  if (library === undefined || (typeof library === 'object' && library !== null)) return library
  // A module in CommonJS may be a function with members.
  if (typeof library === 'function') return library
  return option.oneOf('library', library, Object.keys(libraries)) as LibraryOption
}

function resolveNamespace(field: string, namespace: unknown): string {
  const text = option.text(field, namespace, { max: 512 })
  if (/[{}\s]/.test(text)) throw new InvalidOptionError(field, 'text without braces and blanks', text)
  return text.endsWith(':') ? text : `${text}:`
}

function resolveBreaker(options: BreakerOptions): BreakerSettings {
  option.members('breaker', options, {
    errorThresholdPercentage: true,
    volumeThreshold: true,
    window: true,
    resetTimeout: true,
    maxResetTimeout: true,
  })
  const { errorThresholdPercentage = 50, volumeThreshold = 20, window = '10s' } = options
  const duration = (name: string, value: Duration) =>
    option.duration(`breaker.${name}`, value, { minMs: 10, maxMs: 3_600_000 })
  const resetMs = duration('resetTimeout', options.resetTimeout ?? '250ms')
  return {
    errorThresholdPercentage: option.number('breaker.errorThresholdPercentage', errorThresholdPercentage, {
      min: 1,
      max: 100,
    }),
    volumeThreshold: option.integer('breaker.volumeThreshold', volumeThreshold, { max: 1_000_000 }),
    windowMs: duration('window', window),
    resetMs,
    maxResetMs: Math.max(resetMs, duration('maxResetTimeout', options.maxResetTimeout ?? '750ms')),
  }
}

function resolveAlerts(options: AlertOptions): AlertThresholds {
  option.members('alerts', options, { memory: true, slow: true, replicationLag: true })
  const { memory = 0.8, slow = '100ms', replicationLag = '10s' } = options
  return {
    memory: option.number('alerts.memory', memory, { min: 0, max: 1 }),
    slowMs: option.duration('alerts.slow', slow),
    replicationLagSeconds: option.duration('alerts.replicationLag', replicationLag) / 1_000,
  }
}

function resolveLogger(logger: Logger | undefined): Logger | undefined {
  if (logger === undefined) return undefined
  option.object('logger', logger)
  option.fn('logger.info', logger.info)
  option.fn('logger.warn', logger.warn)
  return logger
}
