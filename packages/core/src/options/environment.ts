import { InvalidOptionError } from '../errors.js'
import type { ConnectOptions } from '../options.js'

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Options as the environment gives them. Variables that say where Redis is are read only when the code
 * doesn't say it; all others stand behind what the code gives. Errors name the variable.
 */
export function readEnvironment(env: Environment, options: ConnectOptions): ConnectOptions {
  const saysWhere = [options.client, options.url, options.host, options.cluster, options.sentinel]
  const where = saysWhere.every((value) => value === undefined) ? readLocation(env, options) : {}
  return withoutUndefined({
    ...where,
    poolSize: wholeNumber(env, 'REDIS_POOL_SIZE', 1, 128),
    connectionTimeout: wholeNumber(env, 'REDIS_CONNECTION_TIMEOUT', 1, 600_000),
    commandTimeout: wholeNumber(env, 'REDIS_COMMAND_TIMEOUT', 1, 600_000),
    enableOfflineQueue: flag(env, 'REDIS_ENABLE_OFFLINE_QUEUE'),
    enableAutoResync: flag(env, 'REDIS_ENABLE_AUTORESYNC'),
    namespace: text(env, 'REDIS_KEY_PREFIX'),
    healthCheckInterval: inSeconds(wholeNumber(env, 'REDIS_HEALTH_CHECK_INTERVAL', 1, 86_400)),
    ...withoutUndefined(options),
  })
}

function readLocation(env: Environment, { service }: ConnectOptions): ConnectOptions {
  const shared = {
    username: text(env, 'REDIS_USERNAME'),
    password: text(env, 'REDIS_PASSWORD'),
    tls: flag(env, 'REDIS_TLS'),
    database: readDatabase(env, service),
  }
  if (flag(env, 'REDIS_CLUSTER_MODE')) {
    return {
      ...shared,
      ...readFrom(env),
      cluster: { nodes: list(env, 'REDIS_CLUSTER_NODES', 'REDIS_CLUSTER_MODE') },
    }
  }
  const name = text(env, 'REDIS_SENTINEL_MASTER')
  if (name !== undefined) {
    const nodes = list(env, 'REDIS_SENTINELS', 'REDIS_SENTINEL_MASTER')
    return { ...shared, ...readFrom(env), sentinel: { nodes, name } }
  }
  return {
    ...shared,
    ...readFrom(env),
    url: text(env, 'REDIS_URL'),
    host: text(env, 'REDIS_HOST'),
    port: wholeNumber(env, 'REDIS_PORT', 1, 65_535),
    replicas: flag(env, 'REDIS_READ_REPLICAS')
      ? list(env, 'REDIS_READ_REPLICA_URLS', 'REDIS_READ_REPLICAS')
      : undefined,
  }
}

function readDatabase(env: Environment, service: string | undefined): number | undefined {
  const own =
    service === undefined ? undefined : `REDIS_DB_${service.toUpperCase().replace(/[^A-Z0-9]+/g, '_')}`
  const ofService = own === undefined ? undefined : wholeNumber(env, own, 0, 65_535)
  return ofService ?? wholeNumber(env, 'REDIS_DB', 0, 65_535)
}

function readFrom(env: Environment): ConnectOptions {
  return flag(env, 'REDIS_READ_REPLICAS') ? { readFrom: 'replica' } : {}
}

/** An empty variable is no variable: that is how compose files and CI unset one. */
function text(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim()
  return value === '' ? undefined : value
}

function flag(env: Environment, name: string): boolean | undefined {
  const value = text(env, name)
  if (value === undefined) return undefined
  if (/^(1|true|yes|on)$/i.test(value)) return true
  if (/^(0|false|no|off)$/i.test(value)) return false
  throw new InvalidOptionError(name, 'true or false', value)
}

function wholeNumber(env: Environment, name: string, least: number, most: number): number | undefined {
  const value = text(env, name)
  if (value === undefined) return undefined
  const number = Number(value)
  if (!/^\d+$/.test(value) || number < least || number > most) {
    throw new InvalidOptionError(name, `a whole number from ${least} to ${most}`, value)
  }
  return number
}

function list(env: Environment, name: string, because: string): readonly string[] {
  const value = text(env, name)
  if (value === undefined)
    throw new InvalidOptionError(name, `addresses with commas between, since ${because} is set`, undefined)
  return value.split(',').map((part) => part.trim())
}

function inSeconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000
}

function withoutUndefined<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T
}
