import type { Argument, Caller, ClientPort, Reply, SendOptions, SubscriberPort } from '../port.js'
import { NotSentError } from '../port.js'
import { type EventSource, watchClient } from '../watch.js'
import {
  duplicateOf,
  ignore,
  type NodeRedisClient,
  nodeRedisClient,
  notConnected,
  notReady,
} from './client.js'

/** What core uses of `createClientPool` of node-redis (5 and 6). */
export interface NodeRedisPool extends EventSource {
  readonly isOpen: boolean
  readonly isClosing: boolean
  readonly totalClients: number
  execute<T>(task: (client: NodeRedisClient) => T): Promise<Awaited<T>>
  close(): Promise<unknown>
  destroy(): void
  readonly _keyPrefix?: string | undefined
}

/**
 * A borrowed pool. Its only state is open or not, and its only event is `error`: only the client that the pool picks
 * for a command knows whether the command can be sent.
 */
export function nodeRedisPool(pool: NodeRedisPool): ClientPort {
  const isReady = () => pool.isOpen && !pool.isClosing && pool.totalClients > 0
  const onClient = async <T>(
    task: (client: ClientPort) => Promise<T>,
    caller: Caller | undefined,
  ): Promise<T> => {
    // Some of the clients may be reconnecting. The pool hands them out in turn, so each is tried once.
    for (let tried = 0; isReady() && tried < pool.totalClients; tried++) {
      const result = await pool.execute(async (client) => {
        // The pool may have held the command back until its caller gave up.
        if (caller?.settled) throw new NotSentError('The pool had no free client in time')
        return client.isReady ? { value: await task(nodeRedisClient(client)) } : undefined
      })
      if (result !== undefined) return result.value
    }
    throw new NotSentError(notReady)
  }
  const send = (args: readonly Argument[], options: SendOptions, caller?: Caller): Promise<Reply> =>
    onClient((client) => client.send(args, options), caller)
  return {
    library: 'node-redis',
    topology: 'standalone',
    keyPrefix: pool._keyPrefix ?? '',
    get isReady() {
      return isReady()
    },
    get notReady() {
      return pool.isOpen ? 'The given pool has no client' : notConnected
    },
    isEnded: false,
    wake: ignore,
    send,
    transaction: (commands, options) =>
      onClient((client) => client.transaction(commands, options), undefined),
    primaries: async () => [send],
    // An error means that a client of the pool lost its connection, and what ended one nearly always ends all.
    watch: (events) => watchClient(pool, ['error'], () => false, events),
    subscriber: (signal): Promise<SubscriberPort> => pool.execute((client) => duplicateOf(client, signal)),
    close: async () => void (await pool.close()),
    kill: () => pool.destroy(),
  }
}
