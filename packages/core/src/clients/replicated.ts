import { replyPrefix } from '../guard/error-meaning.js'
import type { ClientProvider } from '../topology/provider.js'
import type { Argument, ClientPort, Reply, SendOptions } from './port.js'

/** Weight of the last answer in the smoothed latency of a node. */
const smoothing = 0.2

interface Node {
  client: ClientPort | undefined
  latencyMs: number
}

/**
 * A primary with read replicas: commands that only read go to a replica (with `'nearest'`, to the node of the lowest
 * latency), all others to the primary. If a replica is away or can't answer, the read goes to the primary. Each replica
 * reconnects through its own provider; it never decides whether the client is ready.
 */
export function replicatedClient(
  primary: ClientPort,
  replicas: readonly ClientProvider[],
  readFrom: 'replica' | 'nearest',
): ClientPort {
  const main: Node = { client: primary, latencyMs: 0 }
  const others: Node[] = replicas.map(() => ({ client: undefined, latencyMs: 0 }))
  let turn = 0

  replicas.forEach((provider, index) => {
    const node = others[index]
    if (node === undefined) return
    void provider.start({
      ready: (client) => {
        node.client = client
      },
      lost: () => {
        node.client = undefined
      },
    })
  })

  const pick = (): Node => {
    const ready = others.filter((node) => node.client !== undefined)
    if (readFrom === 'nearest') {
      return [main, ...ready].reduce((best, node) => (node.latencyMs < best.latencyMs ? node : best))
    }
    turn++
    return ready[turn % ready.length] ?? main
  }

  const read = async (args: readonly Argument[], options: SendOptions): Promise<Reply> => {
    const node = pick()
    const client = node.client ?? primary
    const sentAt = performance.now()
    try {
      const reply = await client.send(args, options)
      node.latencyMs += (performance.now() - sentAt - node.latencyMs) * smoothing
      return reply
    } catch (error) {
      if (client === primary || isAnswer(error)) throw error
      return primary.send(args, options)
    }
  }

  return {
    library: primary.library,
    topology: primary.topology,
    get isReady() {
      return primary.isReady
    },
    get notReady() {
      return primary.notReady
    },
    isEnded: false,
    keyPrefix: primary.keyPrefix,
    wake: () => {},
    transaction: (commands, options) => primary.transaction(commands, options),
    send: (args, options) => (options.readOnly ? read(args, options) : primary.send(args, options)),
    primaries: () => primary.primaries(),
    watch: (events) => primary.watch(events),
    subscriber: (signal) => primary.subscriber(signal),
    close: async () => {
      await Promise.allSettled([primary.close(), ...replicas.map((provider) => provider.close())])
    },
    kill() {
      primary.kill()
      for (const provider of replicas) void provider.close()
    },
  }
}

/** Whether the primary would reply with the same error, as it does to a wrong command, and not only this replica. */
function isAnswer(error: unknown): boolean {
  const prefix = error instanceof Error ? replyPrefix(error) : undefined
  return prefix !== undefined && !['MASTERDOWN', 'LOADING', 'NOSCRIPT', 'BUSY'].includes(prefix)
}
