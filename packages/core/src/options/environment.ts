import { accessSync, constants } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { InvalidOptionError } from '../errors.js'
import type { ConnectOptions, OptionSources } from '../options.js'
import type { Password } from './location.js'
import { parseUrl } from './url.js'

export type Environment = Readonly<Record<string, string | undefined>>

export interface EnvironmentOptions {
  /** The options of the code, with those that the environment adds. */
  readonly options: ConnectOptions
  /** The variable of each option that came from the environment. */
  readonly sources: OptionSources
  /** Variables that contradict `REDIS_URL` and are therefore ignored. */
  readonly ignored: readonly string[]
}

/** Reads options from environment variables. */
class Variables {
  readonly sources: Record<string, string> = {}
  readonly ignored: string[] = []
  readonly #env: Environment

  constructor(env: Environment) {
    this.#env = env
  }

  /** An empty variable counts as unset: compose files and CI unset variables that way. */
  text(name: string, option?: string): string | undefined {
    const value = this.#env[name]?.trim()
    if (value === undefined || value === '') return undefined
    if (option !== undefined) this.sources[option] = name
    return value
  }

  /**
   * A password, or the file that holds it if `_FILE` follows the variable's name, as with mounted secrets. The file is
   * read at each new connection, so a replaced secret needs no restart.
   */
  password(name: string, option: string): Password | undefined {
    const fileName = `${name}_FILE`
    const path = this.text(fileName)
    if (path === undefined) return this.text(name, option)
    if (this.text(name) !== undefined) {
      throw new InvalidOptionError(fileName, `to be absent where ${name} is set`, undefined)
    }
    this.sources[option] = fileName
    try {
      accessSync(path, constants.R_OK)
    } catch {
      throw new InvalidOptionError(fileName, 'the path of a file that can be read', undefined)
    }
    return async () => (await readFile(path, 'utf8')).trim()
  }

  flag(name: string, option?: string): boolean | undefined {
    const value = this.text(name, option)
    if (value === undefined) return undefined
    if (/^(1|true|yes|on)$/i.test(value)) return true
    if (/^(0|false|no|off)$/i.test(value)) return false
    throw new InvalidOptionError(name, 'true or false', value)
  }

  number(name: string, option: string, min: number, max: number): number | undefined {
    const value = this.text(name, option)
    if (value === undefined) return undefined
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < min || number > max) {
      throw new InvalidOptionError(name, `a whole number from ${min} to ${max}`, value)
    }
    return number
  }

  list(name: string, option: string, because: string): readonly string[] {
    const value = this.text(name, option)
    if (value === undefined) {
      throw new InvalidOptionError(name, `addresses with commas between, since ${because} is set`, undefined)
    }
    return value.split(',').map((part) => part.trim())
  }
}

/**
 * Adds the options of the environment. Variables for the location of Redis are read only if the code does not give
 * one; all others fill in what the code leaves open. Errors name the variable.
 *
 * `REDIS_URL` counts as a whole: `REDIS_HOST` and `REDIS_PORT` beside it are not read, and other variables can't change
 * its user, password, database or TLS. They fill in what the URL leaves open.
 */
export function readEnvironment(env: Environment, options: ConnectOptions): EnvironmentOptions {
  const variables = new Variables(env)
  const saysWhere = ['client', 'url', 'host', 'port', 'cluster', 'sentinel'] as const
  const where = saysWhere.every((name) => options[name] === undefined) ? readLocation(variables, options) : {}
  const healthCheckSeconds = variables.number('REDIS_HEALTH_CHECK_INTERVAL', 'healthCheckInterval', 1, 86_400)
  const given = {
    ...where,
    poolSize: variables.number('REDIS_POOL_SIZE', 'poolSize', 1, 128),
    connectionTimeout: variables.number('REDIS_CONNECTION_TIMEOUT', 'connectionTimeout', 1, 600_000),
    commandTimeout: variables.number('REDIS_COMMAND_TIMEOUT', 'commandTimeout', 1, 600_000),
    enableOfflineQueue: variables.flag('REDIS_ENABLE_OFFLINE_QUEUE', 'enableOfflineQueue'),
    enableAutoResync: variables.flag('REDIS_ENABLE_AUTORESYNC', 'enableAutoResync'),
    namespace: variables.text('REDIS_KEY_PREFIX', 'namespace'),
    healthCheckInterval: healthCheckSeconds === undefined ? undefined : healthCheckSeconds * 1_000,
  }
  const fromCode = withoutUndefined(options)
  for (const name of Object.keys(fromCode)) delete variables.sources[name]
  const { sources, ignored } = variables
  return { options: { ...withoutUndefined(given), ...fromCode }, sources, ignored }
}

function readLocation(variables: Variables, { service }: ConnectOptions): ConnectOptions {
  const readFrom = variables.flag('REDIS_READ_REPLICAS', 'readFrom') ? ({ readFrom: 'replica' } as const) : {}
  if (variables.flag('REDIS_CLUSTER_MODE')) {
    const nodes = variables.list('REDIS_CLUSTER_NODES', 'cluster.nodes', 'REDIS_CLUSTER_MODE')
    return { ...readAccess(variables, service), ...readFrom, cluster: { nodes } }
  }
  const name = variables.text('REDIS_SENTINEL_MASTER', 'sentinel.name')
  if (name !== undefined) {
    const nodes = variables.list('REDIS_SENTINELS', 'sentinel.nodes', 'REDIS_SENTINEL_MASTER')
    const username = variables.text('REDIS_SENTINEL_USERNAME', 'sentinel.username')
    const password = variables.password('REDIS_SENTINEL_PASSWORD', 'sentinel.password')
    return {
      ...readAccess(variables, service),
      ...readFrom,
      sentinel: withoutUndefined({ nodes, name, username, password }),
    }
  }
  const replicas =
    readFrom.readFrom === undefined
      ? undefined
      : variables.list('REDIS_READ_REPLICA_URLS', 'replicas', 'REDIS_READ_REPLICAS')
  const url = variables.text('REDIS_URL', 'url')
  if (url !== undefined) return { ...readBesideUrl(variables, url, service), ...readFrom, replicas, url }
  return {
    ...readAccess(variables, service),
    ...readFrom,
    host: variables.text('REDIS_HOST', 'host'),
    port: readPort(variables),
    replicas,
  }
}

function readAccess(variables: Variables, service: string | undefined): ConnectOptions {
  return {
    username: variables.text('REDIS_USERNAME', 'username'),
    password: variables.password('REDIS_PASSWORD', 'password'),
    tls: variables.flag('REDIS_TLS', 'tls'),
    database: readServiceDatabase(variables, service) ?? variables.number('REDIS_DB', 'database', 0, 65_535),
  }
}

/** Fills in what the URL leaves open. Only the database of the service may differ: many services share one URL. */
function readBesideUrl(variables: Variables, text: string, service: string | undefined): ConnectOptions {
  const url = parseUrl('REDIS_URL', text)
  const differs = (name: string, inUrl: string | number | undefined) => {
    const value = variables.text(name)
    if (value !== undefined && inUrl !== undefined && value.toLowerCase() !== String(inUrl).toLowerCase()) {
      variables.ignored.push(name)
    }
  }
  // REDIS_PORT is ignored silently: compose files publish ports with it, Kubernetes sets it for a service named redis.
  differs('REDIS_HOST', url.host ?? url.path)
  differs('REDIS_DB', url.database)
  const hasUser = url.username !== undefined || url.password !== undefined
  differs('REDIS_USERNAME', hasUser ? (url.username ?? 'default') : undefined)
  if (url.password !== undefined) {
    const password = variables.text('REDIS_PASSWORD')
    if (password !== undefined && password !== url.password) variables.ignored.push('REDIS_PASSWORD')
    if (variables.text('REDIS_PASSWORD_FILE') !== undefined) variables.ignored.push('REDIS_PASSWORD_FILE')
  }
  const tls = variables.flag('REDIS_TLS')
  if (tls === false && url.tls === true) variables.ignored.push('REDIS_TLS')
  return {
    username: hasUser ? undefined : variables.text('REDIS_USERNAME', 'username'),
    password: url.password === undefined ? variables.password('REDIS_PASSWORD', 'password') : undefined,
    // If TLS is requested, it is used whatever the scheme of the URL.
    tls: tls === true ? variables.flag('REDIS_TLS', 'tls') : undefined,
    database:
      readServiceDatabase(variables, service) ??
      (url.database === undefined ? variables.number('REDIS_DB', 'database', 0, 65_535) : undefined),
  }
}

/** For a Service named redis, Kubernetes (and docker links) set `REDIS_PORT=tcp://10.0.0.1:6379`: not a port number. */
function readPort(variables: Variables): number | undefined {
  if (variables.text('REDIS_PORT')?.startsWith('tcp://')) return undefined
  return variables.number('REDIS_PORT', 'port', 1, 65_535)
}

function readServiceDatabase(variables: Variables, service: string | undefined): number | undefined {
  if (typeof service !== 'string') return undefined
  const name = `REDIS_DB_${service.toUpperCase().replace(/[^A-Z0-9]+/g, '_')}`
  return variables.number(name, 'database', 0, 65_535)
}

function withoutUndefined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T
}
