import type { ClientPort } from './port.js'

/**
 * Several connections to one server as one client: each command uses the next in turn. When one of them
 * ends, all do, since what ended it (a restart, a failover) nearly always ends the others too; the provider
 * then opens a new set.
 */
export function pooledClient(clients: readonly ClientPort[]): ClientPort {
  const [first] = clients
  if (first === undefined) throw new RangeError('A pool needs at least one client')
  if (clients.length === 1) return first
  let turn = 0
  const next = (): ClientPort => {
    turn = (turn + 1) % clients.length
    return clients[turn] ?? first
  }
  return {
    library: first.library,
    topology: first.topology,
    get isReady() {
      return clients.every((client) => client.isReady)
    },
    notReady: first.notReady,
    isEnded: false,
    keyPrefix: first.keyPrefix,
    wake: () => {},
    send: (args, options, caller) => next().send(args, options, caller),
    transaction: (commands, options) => next().transaction(commands, options),
    primaries: () => first.primaries(),
    watch(events) {
      const stops = clients.map((client) => client.watch(events))
      return () => {
        for (const stop of stops) stop()
      }
    },
    subscriber: (signal) => first.subscriber(signal),
    close: async () => void (await Promise.allSettled(clients.map((client) => client.close()))),
    kill() {
      for (const client of clients) client.kill()
    },
  }
}
