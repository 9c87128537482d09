import { EvenkeelError, InvalidOptionError } from '../errors.js'
import { isError } from '../kit/cross-realm.js'
import { ioredisClient } from './ioredis/client.js'
import { ioredisLibrary } from './ioredis/library.js'
import type { IoredisClient, IoredisModule } from './ioredis/module.js'
import { type NodeRedisClient, nodeRedisClient } from './node-redis/client.js'
import { nodeRedisCluster } from './node-redis/cluster.js'
import { type NodeRedisModule, nodeRedisLibrary } from './node-redis/library.js'
import { type NodeRedisPool, nodeRedisPool } from './node-redis/pool.js'
import { type NodeRedisSentinel, nodeRedisSentinel } from './node-redis/sentinel.js'
import type { NodeRedisCluster } from './node-redis/sharded.js'
import type { ClientLibrary, ClientPort } from './port.js'
import { valkeyGlideClient } from './valkey-glide/client.js'
import { valkeyGlideLibrary } from './valkey-glide/library.js'
import type { GlideClient, GlideModule } from './valkey-glide/module.js'

/**
 * Recognises the host's client by its shape. `instanceof` fails with two copies of a library, and importing the
 * libraries to compare would make them required.
 */
export function recogniseClient(client: object): ClientPort {
  if (has(client, 'callBuffer') || has(client, 'defineCommand')) return ioredisClient(client as IoredisClient)
  if (has(client, 'sendCommand')) {
    if ('slots' in client || has(client, 'nodeClient')) return nodeRedisCluster(client as NodeRedisCluster)
    if (has(client, 'getMasterNode') || has(client, 'getSentinelNode')) {
      return nodeRedisSentinel(client as NodeRedisSentinel)
    }
    if ('totalClients' in client && has(client, 'execute')) return nodeRedisPool(client as NodeRedisPool)
    if ('isReady' in client && has(client, 'duplicate')) return nodeRedisClient(client as NodeRedisClient)
  }
  if (has(client, 'customCommand') && has(client, 'exec'))
    return valkeyGlideClient(client as GlideClient, importGlide)
  const kind = client?.constructor?.name ?? typeof client
  const hint = has(client, 'sendCommand')
    ? 'what legacy() of node-redis returns is only a view: give the client itself'
    : 'a client of another library needs an adapter (see CONTRIBUTING, "Adding a client")'
  throw new EvenkeelError(
    'UNKNOWN_CLIENT',
    `client: expected a client of node-redis (4, 5, 6), ioredis (5), iovalkey or @valkey/valkey-glide (2), got ${kind}; ${hint}`,
  )
}

function has(client: object, method: string): boolean {
  return method in client && typeof (client as Record<string, unknown>)[method] === 'function'
}

const libraryNames = ['redis', 'ioredis', 'iovalkey', '@valkey/valkey-glide'] as const
type LibraryPackage = (typeof libraryNames)[number]

/** A client library: by its npm name, or the imported module itself. */
export type LibraryOption = LibraryPackage | object

/**
 * The library for connections that core opens. By default the first that is installed: `redis` (node-redis), `ioredis`,
 * `iovalkey` or `@valkey/valkey-glide`. All are optional peers, so none is imported before this is called.
 */
export async function findLibrary(wish: LibraryOption | undefined): Promise<ClientLibrary> {
  if (typeof wish === 'object') return recogniseLibrary(wish)
  for (const name of wish === undefined ? libraryNames : [wish]) {
    const module = await importOptional(name)
    if (module !== undefined) return recogniseLibrary(module)
  }
  throw new EvenkeelError(
    'CLIENT_MISSING',
    `No Redis client is installed: run 'npm install redis' (node-redis 4, 5 or 6) or 'npm install ioredis' (or 'iovalkey', '@valkey/valkey-glide')`,
  )
}

function recogniseLibrary(module: object): ClientLibrary {
  if (isNodeRedis(module)) return nodeRedisLibrary(module, 'createSentinel' in module ? '5' : '4')
  const ioredis = findIoredis(module)
  if (ioredis !== undefined) return ioredisLibrary(ioredis, '5')
  if (isGlide(module)) return valkeyGlideLibrary(module, '2')
  throw new InvalidOptionError(
    'library',
    `'redis', 'ioredis', 'iovalkey', '@valkey/valkey-glide' or one of these modules`,
    module,
  )
}

function isNodeRedis(module: object): module is NodeRedisModule {
  return 'createClient' in module && 'createCluster' in module
}

/** If a CommonJS module is loaded with `import`, its names are on `default` too. */
function findIoredis(module: object): IoredisModule | undefined {
  const candidates = [module, 'default' in module ? module.default : undefined]
  return candidates.find(isIoredis)
}

function isIoredis(module: unknown): module is IoredisModule {
  const isObject = (typeof module === 'object' && module !== null) || typeof module === 'function'
  return isObject && 'Redis' in module && 'Cluster' in module
}

function isGlide(module: object): module is GlideModule {
  return 'GlideClient' in module && 'GlideClusterClient' in module
}

async function importGlide(): Promise<GlideModule> {
  const module = await importOptional('@valkey/valkey-glide')
  if (module !== undefined && isGlide(module)) return module
  throw new EvenkeelError(
    'CLIENT_MISSING',
    "A transaction needs '@valkey/valkey-glide', which can't be imported",
  )
}

async function importOptional(name: LibraryPackage): Promise<object | undefined> {
  try {
    // Literal specifiers, so that bundlers see them.
    if (name === 'redis') return await import('redis')
    if (name === 'ioredis') return await import('ioredis')
    return name === 'iovalkey' ? await import('iovalkey') : await import('@valkey/valkey-glide')
  } catch (error) {
    if (isError(error) && 'code' in error && String(error.code).includes('MODULE_NOT_FOUND')) return undefined
    throw error
  }
}
