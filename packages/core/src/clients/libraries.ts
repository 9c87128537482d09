import { EvenkeelError, InvalidOptionError } from '../errors.js'
import { type IoredisModule, ioredisLibrary } from './ioredis.js'
import { type NodeRedisModule, nodeRedisLibrary } from './node-redis.js'
import type { ClientLibrary } from './port.js'

/** A client library: by its npm name, or the imported module itself. */
export type LibraryOption = 'redis' | 'ioredis' | object

/**
 * The library that connections of ours are made with. Without a wish: `redis` (node-redis) where it is
 * installed, else `ioredis`. Both are optional peers, so neither is imported before this is called.
 */
export async function findLibrary(wish: LibraryOption | undefined): Promise<ClientLibrary> {
  if (typeof wish === 'object') return recogniseLibrary(wish)
  for (const name of wish === undefined ? (['redis', 'ioredis'] as const) : [wish]) {
    const module = await importOptional(name)
    if (module !== undefined) return recogniseLibrary(module)
  }
  throw new EvenkeelError(
    'CLIENT_MISSING',
    `No Redis client is installed: run 'npm install redis' (node-redis 4, 5 or 6) or 'npm install ioredis'`,
  )
}

function recogniseLibrary(module: object): ClientLibrary {
  if (isNodeRedis(module)) return nodeRedisLibrary(module, 'createSentinel' in module ? '5' : '4')
  const ioredis = findIoredis(module)
  if (ioredis !== undefined) return ioredisLibrary(ioredis, '5')
  throw new InvalidOptionError('library', `'redis', 'ioredis' or one of these modules`, module)
}

function isNodeRedis(module: object): module is NodeRedisModule {
  return 'createClient' in module && 'createCluster' in module
}

/** CommonJS seen through `import` has its names on `default` too. */
function findIoredis(module: object): IoredisModule | undefined {
  const candidates = [module, 'default' in module ? module.default : undefined]
  return candidates.find(isIoredis)
}

function isIoredis(module: unknown): module is IoredisModule {
  const isObject = (typeof module === 'object' && module !== null) || typeof module === 'function'
  return isObject && 'Redis' in module && 'Cluster' in module
}

async function importOptional(name: 'redis' | 'ioredis'): Promise<object | undefined> {
  try {
    // Two literal specifiers, so that bundlers see them.
    return name === 'redis' ? await import('redis') : await import('ioredis')
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).includes('MODULE_NOT_FOUND'))
      return undefined
    throw error
  }
}
