import { EvenkeelError } from '../errors.js'
import { type IoredisClient, ioredisClient } from './ioredis.js'
import {
  type NodeRedisClient,
  type NodeRedisCluster,
  type NodeRedisSentinel,
  nodeRedisClient,
  nodeRedisCluster,
  nodeRedisSentinel,
} from './node-redis.js'
import type { ClientPort } from './port.js'

/**
 * Tells by its shape which client a host gave us: two copies of a library, or a subclass, make
 * `instanceof` fail, and importing the libraries to compare would make them required.
 */
export function recogniseClient(client: object): ClientPort {
  if (has(client, 'callBuffer') || has(client, 'defineCommand')) return ioredisClient(client as IoredisClient)
  if (has(client, 'sendCommand')) {
    if ('slots' in client || has(client, 'nodeClient')) return nodeRedisCluster(client as NodeRedisCluster)
    if (has(client, 'getMasterNode') || has(client, 'getSentinelNode')) {
      return nodeRedisSentinel(client as NodeRedisSentinel)
    }
    return nodeRedisClient(client as NodeRedisClient)
  }
  throw new EvenkeelError(
    'UNKNOWN_CLIENT',
    `client: expected a client of node-redis (4, 5, 6) or ioredis (5), got ${client?.constructor?.name ?? typeof client}; ` +
      'a client of another library needs an adapter (see CONTRIBUTING, "Adding a client")',
  )
}

function has(client: object, method: string): boolean {
  return method in client && typeof (client as Record<string, unknown>)[method] === 'function'
}
