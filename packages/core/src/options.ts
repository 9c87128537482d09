import type { LibraryOption } from './clients/detect.js'
import type { TlsOptions } from './clients/port.js'
import { InvalidOptionError } from './errors.js'
import type { BreakerOptions } from './guard/breaker.js'
import type { AlertThresholds } from './health/alerts.js'
import { type Duration, durationMs } from './kit/duration.js'
import { wholeNumber } from './kit/validate.js'
import type { TelemetryOptions } from './telemetry/commands.js'

/** `'host:port'`, `'[::1]:port'`, or its parts. */
export type NodeAddress = string | { readonly host: string; readonly port: number }

/** A password, or a function asked for one at every new connection (for credentials that rotate). */
export type Password = string | (() => string | Promise<string>)

export interface ConnectOptions {
  /**
   * The host's own client, connected or about to be: node-redis 4, 5 or 6 (client, cluster, pool, sentinel)
   * or ioredis (client, cluster). It is never configured, reconnected or closed by us.
   */
  readonly client?: object | undefined
  /** The library that makes our own connections. @default `redis` where installed, else `ioredis` */
  readonly library?: LibraryOption | undefined

  /** `redis://user:password@host:port/db`, `rediss://` for TLS, `unix:///path`. */
  readonly url?: string | undefined
  /** @default '127.0.0.1' */
  readonly host?: string | undefined
  /** @default 6379 */
  readonly port?: number | undefined
  readonly username?: string | undefined
  readonly password?: Password | undefined
  /** @default 0 */
  readonly database?: number | undefined
  /** @default false, true for `rediss:` */
  readonly tls?: boolean | TlsOptions | undefined

  /** Redis Cluster: some of its nodes; the others are found through them. */
  readonly cluster?: { readonly nodes: readonly NodeAddress[] } | undefined
  /** Sentinel: where sentinels listen, and the name they know the primary by. */
  readonly sentinel?:
    | {
        readonly nodes: readonly NodeAddress[]
        readonly name: string
        readonly username?: string | undefined
        readonly password?: Password | undefined
      }
    | undefined
  /** Read replicas of a standalone primary; with Sentinel and Cluster they are found by themselves. */
  readonly replicas?: readonly string[] | undefined
  /** Where commands that only read, and may be stale, go. @default 'primary' */
  readonly readFrom?: 'primary' | 'replica' | 'nearest' | undefined
  /**
   * Connections to the server. One, pipelined, is normally the fastest; more help where values are large.
   * @default 1
   */
  readonly poolSize?: number | undefined

  /** Prefix of every key and channel; `:` is added where it has none. @default 'evenkeel:' */
  readonly namespace?: string | undefined
  /** Reads `REDIS_DB_<SERVICE>` for the database: `'ai-agents'` reads `REDIS_DB_AI_AGENTS`. */
  readonly service?: string | undefined
  /** Reject when Redis is not there, instead of starting on memory. @default false */
  readonly required?: boolean | undefined

  /** Deadline of a command. @default '500ms' */
  readonly commandTimeout?: Duration | undefined
  /** Deadline of a connection attempt: TCP, TLS and handshake together. @default '5s' */
  readonly connectionTimeout?: Duration | undefined
  /** Commands sent and unanswered; one more fails at once as unavailable. @default 10_000 */
  readonly maxInFlight?: number | undefined
  /** Commands wait, within their deadline, for a connection that is not up. @default false */
  readonly enableOfflineQueue?: boolean | undefined
  /** Recovery starts by itself when Redis is back; else `redis.resync()` starts it. @default true */
  readonly enableAutoResync?: boolean | undefined
  readonly breaker?: BreakerOptions | undefined
  /** Pause between two checks of the monitor. @default '30s' */
  readonly healthCheckInterval?: Duration | undefined
  readonly alerts?: AlertThresholds | undefined
  /** OpenTelemetry; by default to the SDK that is registered when `connect()` is called, if any. @default true */
  readonly telemetry?: boolean | TelemetryOptions | undefined
}

export interface HostAndPort {
  readonly host: string
  readonly port: number
}

interface Shared {
  readonly username: string | undefined
  readonly password: Password | undefined
  readonly database: number
  readonly tls: TlsOptions | false
  readonly readFrom: 'primary' | 'replica' | 'nearest'
}

/** Where Redis is, one shape a topology. */
export type Topology =
  | { readonly kind: 'borrowed'; readonly client: object }
  | (Shared & {
      readonly kind: 'standalone'
      readonly address: HostAndPort & { readonly path?: string | undefined }
      readonly replicas: readonly HostAndPort[]
    })
  | (Shared & { readonly kind: 'cluster'; readonly nodes: readonly HostAndPort[] })
  | (Shared & {
      readonly kind: 'sentinel'
      readonly sentinels: readonly HostAndPort[]
      readonly name: string
      readonly sentinelUsername: string | undefined
      readonly sentinelPassword: Password | undefined
    })

export interface ResolvedOptions {
  readonly topology: Topology
  readonly library: LibraryOption | undefined
  readonly poolSize: number
  readonly namespace: string
  readonly required: boolean
  readonly commandTimeoutMs: number
  readonly connectionTimeoutMs: number
  readonly maxInFlight: number
  readonly enableOfflineQueue: boolean
  readonly autoResync: boolean
  readonly breaker: BreakerOptions
  readonly healthCheckIntervalMs: number
  readonly alerts: AlertThresholds
  readonly telemetry: boolean | TelemetryOptions
}

/** Checks every option and fills in the defaults. Throws {@link InvalidOptionError} before any I/O. */
export function resolveOptions(options: ConnectOptions): ResolvedOptions {
  return {
    topology: resolveTopology(options),
    library: options.library,
    poolSize: wholeNumber('poolSize', options.poolSize ?? 1, 1, 128),
    namespace: resolveNamespace(options.namespace ?? 'evenkeel:'),
    required: options.required ?? false,
    commandTimeoutMs: durationMs('commandTimeout', options.commandTimeout ?? 500, {
      minMs: 1,
      maxMs: 600_000,
    }),
    connectionTimeoutMs: durationMs('connectionTimeout', options.connectionTimeout ?? 5_000, {
      minMs: 1,
      maxMs: 600_000,
    }),
    maxInFlight: wholeNumber('maxInFlight', options.maxInFlight ?? 10_000, 1, 10_000_000),
    enableOfflineQueue: options.enableOfflineQueue ?? false,
    autoResync: options.enableAutoResync ?? true,
    breaker: options.breaker ?? {},
    healthCheckIntervalMs: durationMs('healthCheckInterval', options.healthCheckInterval ?? 30_000, {
      minMs: 100,
    }),
    alerts: options.alerts ?? {},
    telemetry: options.telemetry ?? true,
  }
}

function resolveTopology(options: ConnectOptions): Topology {
  const ways = (['client', 'cluster', 'sentinel'] as const).filter((way) => options[way] !== undefined)
  if (ways.length > 1) throw new InvalidOptionError(ways.join(' and '), 'only one of them', options)
  if (options.client !== undefined) return { kind: 'borrowed', client: options.client }
  const url = options.url === undefined ? {} : parseUrl('url', options.url)
  const shared: Shared = {
    username: options.username ?? url.username,
    password: options.password ?? url.password,
    database: wholeNumber('database', options.database ?? url.database ?? 0, 0, 65_535),
    tls: resolveTls(options.tls, url.tls),
    readFrom: oneOf('readFrom', options.readFrom ?? 'primary', ['primary', 'replica', 'nearest']),
  }
  if (options.cluster !== undefined) {
    if (shared.database !== 0)
      throw new InvalidOptionError('database', '0, the only one of a Cluster', shared.database)
    return { ...shared, kind: 'cluster', nodes: addresses('cluster.nodes', options.cluster.nodes) }
  }
  if (options.sentinel !== undefined) {
    const { nodes, name, username, password } = options.sentinel
    if (typeof name !== 'string' || name === '') throw new InvalidOptionError('sentinel.name', 'a name', name)
    return {
      ...shared,
      kind: 'sentinel',
      sentinels: addresses('sentinel.nodes', nodes),
      name,
      sentinelUsername: username,
      sentinelPassword: password,
    }
  }
  return {
    ...shared,
    kind: 'standalone',
    address: {
      host: options.host ?? url.host ?? '127.0.0.1',
      port: wholeNumber('port', options.port ?? url.port ?? 6_379, 1, 65_535),
      path: url.path,
    },
    replicas: (options.replicas ?? []).map((replica, index) => {
      const { host = '127.0.0.1', port = 6_379 } = parseUrl(`replicas[${index}]`, replica)
      return { host, port }
    }),
  }
}

interface UrlParts {
  readonly host?: string
  readonly port?: number
  readonly path?: string
  readonly username?: string
  readonly password?: string
  readonly database?: number
  readonly tls?: boolean
}

/** The value is never repeated in the error, since it may hold a password. */
function parseUrl(field: string, text: string): UrlParts {
  const expected = "a URL like 'redis://user:password@host:6379/0', 'rediss://…' or 'unix:///path'"
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new InvalidOptionError(field, expected, hidden)
  }
  const credentials = {
    ...(url.username && { username: decodeURIComponent(url.username) }),
    ...(url.password && { password: decodeURIComponent(url.password) }),
  }
  if (url.protocol === 'unix:') return { ...credentials, path: url.pathname }
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') {
    throw new InvalidOptionError(field, expected, url.protocol)
  }
  const path = url.pathname.replace(/^\//, '')
  if (!/^\d*$/.test(path)) throw new InvalidOptionError(field, 'a database number as its path', path)
  return {
    ...credentials,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1') || '127.0.0.1',
    ...(url.port && { port: Number(url.port) }),
    ...(path && { database: Number(path) }),
    tls: url.protocol === 'rediss:',
  }
}

const hidden = { toString: () => 'something else' }

function resolveTls(
  option: boolean | TlsOptions | undefined,
  fromUrl: boolean | undefined,
): TlsOptions | false {
  if (option === undefined) return fromUrl ? {} : false
  if (option === false && fromUrl) throw new InvalidOptionError('tls', 'true beside a rediss: URL', false)
  if (typeof option === 'boolean') return option ? {} : false
  if (typeof option !== 'object' || option === null)
    throw new InvalidOptionError('tls', 'a boolean or TLS options', option)
  return option
}

function resolveNamespace(namespace: unknown): string {
  if (typeof namespace !== 'string' || namespace === '' || /[{}\s]/.test(namespace)) {
    throw new InvalidOptionError('namespace', 'text without braces and blanks', namespace)
  }
  return namespace.endsWith(':') ? namespace : `${namespace}:`
}

function addresses(field: string, nodes: readonly NodeAddress[]): readonly HostAndPort[] {
  if (!Array.isArray(nodes) || nodes.length === 0)
    throw new InvalidOptionError(field, 'at least one node', nodes)
  return nodes.map((node: NodeAddress, index) => parseAddress(`${field}[${index}]`, node))
}

/** `'host:port'`, `'[v6]:port'` or a `redis:` URL; the port is 6379 where there is none. */
export function parseAddress(field: string, node: NodeAddress): HostAndPort {
  if (typeof node !== 'string')
    return { host: node.host, port: wholeNumber(`${field}.port`, node.port, 1, 65_535) }
  if (node.includes('://')) {
    const { host = '127.0.0.1', port = 6_379 } = parseUrl(field, node)
    return { host, port }
  }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(node.trim())
  const host = match?.[1] ?? match?.[2]
  if (host === undefined)
    throw new InvalidOptionError(field, "an address like 'host:6379' or '[::1]:6379'", node)
  return { host, port: wholeNumber(field, Number(match?.[3] ?? 6_379), 1, 65_535) }
}

export function oneOf<T extends string>(field: string, value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === value)
  if (found === undefined) throw new InvalidOptionError(field, `one of ${allowed.join(', ')}`, value)
  return found
}
