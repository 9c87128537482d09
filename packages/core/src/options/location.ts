import type { TlsOptions } from '../clients/port.js'
import { InvalidOptionError } from '../errors.js'
import { option } from '../kit/validate.js'
import {
  type AddressParts,
  checkHost,
  type HostAndPort,
  type NodeAddress,
  parseAddress,
  parseUrl,
} from './url.js'

/** A password, or a function that is called for one at every new connection (for credentials that rotate). */
export type Password = string | (() => string | Promise<string>)

/**
 * Maps the addresses of nodes that can't be reached directly, such as behind NAT or in a container. Either a table by
 * the address that the cluster or the sentinels report (`'10.0.0.1:6379'`), or a function of that address. Addresses
 * without an entry are used as they are.
 */
export type NatMap =
  | Readonly<Record<string, HostAndPort>>
  | ((address: string) => HostAndPort | null | undefined)

/** Turns an address that the servers report into the address to connect to. */
export type Translate = (address: HostAndPort) => HostAndPort

export interface ClusterOptions {
  /** Some of the nodes; the others are discovered through them. Their URLs may hold user, password and TLS. */
  readonly nodes: readonly NodeAddress[]
  readonly natMap?: NatMap | undefined
}

export interface SentinelOptions {
  /** Addresses of the sentinels. Their URLs may hold the user and password of the sentinels. */
  readonly nodes: readonly NodeAddress[]
  /** The name under which the sentinels monitor the primary. */
  readonly name: string
  readonly username?: string | undefined
  readonly password?: Password | undefined
  /** For the primary and its replicas. Sentinels are reached at the addresses given in `nodes`. */
  readonly natMap?: NatMap | undefined
}

/** Where Redis is and how to log in. One of `client`, `url`, `host`, `cluster` and `sentinel` says where. */
export interface LocationOptions {
  /**
   * The host's own client, connected or about to connect: node-redis 4, 5 or 6 (client, cluster, pool, sentinel),
   * ioredis 5 or iovalkey (client, cluster), or `@valkey/valkey-glide` 2. evenkeel never configures, reconnects or
   * closes it.
   */
  readonly client?: object | undefined
  /**
   * `redis://user:password@host:port/db`, `rediss://` for TLS, or `unix:///path`. Characters with a meaning in URLs
   * must be percent-encoded. A URL counts as a whole: `host` and `port` must not be given beside it.
   */
  readonly url?: string | undefined
  /** @default '127.0.0.1' */
  readonly host?: string | undefined
  /** @default 6379 */
  readonly port?: number | undefined
  readonly username?: string | undefined
  readonly password?: Password | undefined
  /** Number of the database. @default 0 */
  readonly database?: number | undefined
  /** Whether to use TLS, or its options. @default false, true for `rediss:` */
  readonly tls?: boolean | TlsOptions | undefined
  /** Connects to a Redis Cluster. */
  readonly cluster?: ClusterOptions | undefined
  readonly sentinel?: SentinelOptions | undefined
  /**
   * URLs of read replicas of a standalone primary. With Sentinel and Cluster, replicas are discovered. A URL without
   * user and password takes those of the primary.
   */
  readonly replicas?: readonly string[] | undefined
  /** Where commands go that only read and may read stale data. @default 'primary' */
  readonly readFrom?: 'primary' | 'replica' | 'nearest' | undefined
}

interface Shared {
  readonly username: string | undefined
  readonly password: Password | undefined
  readonly database: number
  readonly tls: TlsOptions | false
  readonly readFrom: 'primary' | 'replica' | 'nearest'
}

/** A replica, with the settings that differ from the primary's. */
export interface Replica extends HostAndPort {
  readonly username: string | undefined
  readonly password: Password | undefined
  readonly tls: TlsOptions | false
}

/** Where Redis is, with one shape for each topology. */
export type Topology =
  | { readonly kind: 'borrowed'; readonly client: object }
  | (Shared & {
      readonly kind: 'standalone'
      readonly address: HostAndPort & { readonly path?: string | undefined }
      readonly replicas: readonly Replica[]
    })
  | (Shared & {
      readonly kind: 'cluster'
      readonly nodes: readonly HostAndPort[]
      readonly translate: Translate
    })
  | (Shared & {
      readonly kind: 'sentinel'
      readonly sentinels: readonly HostAndPort[]
      readonly name: string
      readonly sentinelUsername: string | undefined
      readonly sentinelPassword: Password | undefined
      readonly translate: Translate
    })

/** The environment variable that each option came from, by option name, so that errors name what the operator set. */
export type OptionSources = Readonly<Record<string, string>>

/** @throws InvalidOptionError */
export function resolveTopology(options: LocationOptions, sources: OptionSources): Topology {
  refuseContradictions(options)
  const { client, cluster, sentinel } = options
  if (client !== undefined) return { kind: 'borrowed', client: checkClient(client) }
  const field = (name: string) => sources[name] ?? name
  if (cluster !== undefined) return resolveCluster(options, cluster, field)
  if (sentinel !== undefined) return resolveSentinel(options, sentinel, field)
  const url = options.url === undefined ? {} : parseUrl(field('url'), options.url)
  if (sources.url === undefined) refuseSecondWord(options, url)
  const shared = resolveShared(options, url, field)
  return {
    ...shared,
    kind: 'standalone',
    address: {
      host: options.host === undefined ? (url.host ?? '127.0.0.1') : checkHost(field('host'), options.host),
      port: option.integer(field('port'), options.port ?? url.port ?? 6_379, { max: 65_535 }),
      path: url.path,
    },
    replicas: resolveReplicas(options, shared, field('replicas')),
  }
}

type FieldOf = (option: string) => string

/** Refuses options that contradict the location in use: they would send its password elsewhere, or be ignored. */
function refuseContradictions(options: LocationOptions): void {
  const given = (names: readonly (keyof LocationOptions)[]) =>
    names.filter((name) => options[name] !== undefined)
  const [first, ...others] = given(['client', 'url', 'cluster', 'sentinel'])
  const beside = first === undefined ? [] : [...others, ...given(['host', 'port'])]
  if (beside.length > 0) {
    throw new InvalidOptionError([first, ...beside].join(' and '), 'only one of them', options)
  }
  const refuse = (names: readonly (keyof LocationOptions)[], why: string) => {
    const [name] = given(names)
    if (name !== undefined) throw new InvalidOptionError(name, why, options[name])
  }
  if (first === 'client') {
    refuse(
      ['username', 'password', 'database', 'tls', 'replicas', 'readFrom'],
      'nothing beside client, which is made with options of its own',
    )
  }
  if (first === 'cluster' || first === 'sentinel') {
    refuse(['replicas'], `nothing beside ${first}, which finds them by itself`)
  }
}

/** A URL in code counts as a whole: other options must not repeat or change its parts. */
function refuseSecondWord(options: LocationOptions, url: AddressParts): void {
  for (const name of ['username', 'password', 'database'] as const) {
    if (options[name] === undefined || url[name] === undefined || options[name] === url[name]) continue
    throw new InvalidOptionError(name, `nothing beside a URL that has a ${name}`, options[name])
  }
}

function checkClient(client: unknown): object {
  const expected = 'a client of node-redis or ioredis'
  if (typeof client === 'string') {
    throw new InvalidOptionError('client', `${expected} (a URL is given as 'url')`, client)
  }
  if (typeof client !== 'object' || client === null) throw new InvalidOptionError('client', expected, client)
  if ('then' in client && typeof client.then === 'function') {
    throw new InvalidOptionError('client', `${expected}, awaited`, client)
  }
  return client
}

function resolveShared(options: LocationOptions, from: AddressParts, field: FieldOf): Shared {
  return {
    username: optionalText(field('username'), options.username) ?? from.username,
    password: resolvePassword(field('password'), options.password) ?? from.password,
    database: option.integer(field('database'), options.database ?? from.database ?? 0, {
      min: 0,
      max: 65_535,
    }),
    tls: resolveTls(field('tls'), options.tls, from.tls),
    readFrom: option.oneOf(field('readFrom'), options.readFrom ?? 'primary', [
      'primary',
      'replica',
      'nearest',
    ]),
  }
}

function resolveCluster(options: LocationOptions, cluster: ClusterOptions, field: FieldOf): Topology {
  option.members('cluster', cluster, { nodes: true, natMap: true })
  const name = field('cluster.nodes')
  const nodes = addresses(name, cluster.nodes)
  const shared = resolveShared(options, common(name, nodes, options), field)
  if (shared.database !== 0) {
    throw new InvalidOptionError(field('database'), '0, the only one of a Cluster', shared.database)
  }
  return {
    ...shared,
    kind: 'cluster',
    nodes: nodes.map(hostAndPort),
    translate: resolveNatMap('cluster.natMap', cluster.natMap),
  }
}

function resolveSentinel(options: LocationOptions, sentinel: SentinelOptions, field: FieldOf): Topology {
  option.members('sentinel', sentinel, {
    nodes: true,
    name: true,
    username: true,
    password: true,
    natMap: true,
  })
  const name = field('sentinel.nodes')
  const nodes = addresses(name, sentinel.nodes)
  const own = common(name, nodes, { ...sentinel, tls: options.tls })
  if (own.database !== undefined)
    throw new InvalidOptionError(name, 'no database: sentinels have none', nodes)
  const { tls } = own
  return {
    ...resolveShared(options, tls === undefined ? {} : { tls }, field),
    kind: 'sentinel',
    sentinels: nodes.map(hostAndPort),
    name: option.text(field('sentinel.name'), sentinel.name),
    sentinelUsername: optionalText(field('sentinel.username'), sentinel.username) ?? own.username,
    sentinelPassword: resolvePassword(field('sentinel.password'), sentinel.password) ?? own.password,
    translate: resolveNatMap('sentinel.natMap', sentinel.natMap),
  }
}

function resolveNatMap(field: string, map: NatMap | undefined): Translate {
  if (map === undefined) return (address) => address
  if (typeof map === 'function') {
    return (address) => map(`${address.host}:${address.port}`) ?? address
  }
  option.object(field, map)
  const known = new Map(
    Object.entries(map).map(([from, to]) => {
      option.object(`${field}['${from}']`, to)
      const host = checkHost(`${field}['${from}'].host`, to.host)
      const port = option.integer(`${field}['${from}'].port`, to.port, { max: 65_535 })
      return [from, { host, port }] as const
    }),
  )
  return (address) => known.get(`${address.host}:${address.port}`) ?? address
}

function resolveReplicas(options: LocationOptions, shared: Shared, field: string): readonly Replica[] {
  const urls = option.list(field, options.replicas ?? [])
  if (urls.length === 0 && shared.readFrom !== 'primary') {
    throw new InvalidOptionError(field, `at least one URL, since readFrom is '${shared.readFrom}'`, urls)
  }
  return urls.map((text, index) => {
    const { host, port, ...own } = parseAddress(`${field}[${index}]`, text)
    const hasCredentials = own.username !== undefined || own.password !== undefined
    if (own.database !== undefined && own.database !== shared.database) {
      throw new InvalidOptionError(`${field}[${index}]`, "no other database than the primary's", text)
    }
    return {
      host,
      port,
      username: hasCredentials ? own.username : shared.username,
      password: hasCredentials ? own.password : shared.password,
      // Plain TCP only if both URLs say so: a replica without TLS must not receive what the primary gets over TLS.
      tls: shared.tls === false && own.tls === true ? {} : shared.tls,
    }
  })
}

function addresses(field: string, nodes: readonly NodeAddress[]): readonly (AddressParts & HostAndPort)[] {
  if (!Array.isArray(nodes) || nodes.length === 0)
    throw new InvalidOptionError(field, 'at least one node', nodes)
  return nodes.map((node: NodeAddress, index) => parseAddress(`${field}[${index}]`, node))
}

/** What the URLs of all nodes have in common. Nodes that differ in it are refused: one user serves all of them. */
function common(
  field: string,
  nodes: readonly AddressParts[],
  options: { readonly username?: unknown; readonly password?: unknown; readonly tls?: unknown },
): AddressParts {
  const found: { -readonly [K in keyof AddressParts]: AddressParts[K] } = {}
  for (const name of ['username', 'password', 'database', 'tls'] as const) {
    const values = new Set(nodes.map((node) => node[name]).filter((value) => value !== undefined))
    const [value] = values
    if (value === undefined) continue
    const own = name === 'database' || name === 'tls' ? undefined : options[name]
    if (values.size > 1 || (own !== undefined && own !== value)) {
      throw new InvalidOptionError(field, `one ${name} for all nodes`, nodes)
    }
    Object.assign(found, { [name]: value })
  }
  return found
}

function hostAndPort({ host, port }: HostAndPort): HostAndPort {
  return { host, port }
}

function optionalText(field: string, value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : option.text(field, value)
}

function resolvePassword(field: string, value: Password | undefined): Password | undefined {
  if (typeof value === 'function') return value
  if (value === undefined || value === '') return undefined
  if (typeof value !== 'string')
    throw new InvalidOptionError(field, 'text or a function that gives it', value)
  return value
}

const tlsNames = {
  ca: true,
  cert: true,
  key: true,
  passphrase: true,
  servername: true,
  rejectUnauthorized: true,
  minVersion: true,
  ciphers: true,
} as const

function resolveTls(
  field: string,
  value: boolean | TlsOptions | undefined,
  fromUrl: boolean | undefined,
): TlsOptions | false {
  if (value === undefined) return fromUrl ? {} : false
  if (value === false && fromUrl) throw new InvalidOptionError(field, 'true beside a rediss: URL', false)
  if (typeof value === 'boolean') return value ? {} : false
  if (typeof value !== 'object' || value === null) {
    throw new InvalidOptionError(field, 'a boolean or TLS options', value)
  }
  option.members(field, value, tlsNames)
  if (value.rejectUnauthorized !== undefined)
    option.flag(`${field}.rejectUnauthorized`, value.rejectUnauthorized)
  if (value.servername !== undefined) option.text(`${field}.servername`, value.servername, { min: 0 })
  for (const name of ['ca', 'cert', 'key'] as const) checkPem(`${field}.${name}`, value[name])
  return value
}

function checkPem(field: string, value: unknown): void {
  const isPem = (one: unknown) => typeof one === 'string' || one instanceof Uint8Array
  if (value === undefined || isPem(value) || (Array.isArray(value) && value.every(isPem))) return
  throw new InvalidOptionError(field, 'PEM as text or bytes, or an array of such', value)
}
