import { meaningOf, replyPrefix } from '../guard/error-meaning.js'
import { isError } from '../kit/cross-realm.js'
import type { ClientProvider } from '../topology/provider.js'
import type { Argument, Caller, ClientPort, Reply, SendOptions } from './port.js'
import { SilenceWatch } from './silence-watch.js'

/** Weight of the last answer in the smoothed latency of a node. */
const smoothing = 0.2

/**
 * A smoothed latency halves in this time without an answer, so that a node which was slow once is tried again.
 * Finagle's peak EWMA decays the same way.
 */
const halfLifeMs = 5_000

/** A replica that was asked and could not answer gets no reads for this long. */
const restMs = 1_000

interface Node {
  client: ClientPort | undefined
  latencyMs: number
  /** When its last answer came. */
  answeredAt: number
  restsUntil: number
  /** Of replicas alone: the connection watches its primary itself. */
  silence: SilenceWatch | undefined
}

/**
 * A primary with read replicas: commands that only read go to a replica (with `'nearest'`, to the node of the lowest
 * latency), all others to the primary. If a replica is away or can't answer, the read goes to the primary, and so do
 * those of the next second. A replica that answers nothing for `maxSilenceMs` loses its connection, and the primary
 * answers what it was asked. Each replica reconnects through its own provider; it never decides whether the client is
 * ready.
 */
export function replicatedClient(
  primary: ClientPort,
  replicas: readonly ClientProvider[],
  readFrom: 'replica' | 'nearest',
  maxSilenceMs: number,
): ClientPort {
  const main = nodeOf(primary)
  let turn = 0

  const others = replicas.map((provider) => {
    const node = nodeOf(undefined)
    void provider.start({
      ready: (client) => {
        node.client = client
        // The commands of a connection that was given up count no longer.
        node.silence = new SilenceWatch(maxSilenceMs, () =>
          provider.drop(`the replica was silent for ${maxSilenceMs} ms`),
        )
      },
      lost: () => {
        node.client = undefined
        node.silence?.close()
      },
    })
    return node
  })

  const pick = (now: number): Node => {
    const ready = others.filter((node) => node.client !== undefined && now >= node.restsUntil)
    if (readFrom === 'nearest') {
      return [main, ...ready].reduce((best, node) =>
        expectedMs(node, now) < expectedMs(best, now) ? node : best,
      )
    }
    turn++
    return ready[turn % ready.length] ?? main
  }

  const read = async (
    args: readonly Argument[],
    options: SendOptions,
    caller: Caller | undefined,
  ): Promise<Reply> => {
    const sentAt = performance.now()
    const node = pick(sentAt)
    const { client = primary, silence } = node
    silence?.sent(sentAt)
    try {
      const reply = await client.send(args, options, caller)
      const now = performance.now()
      silence?.ended(now)
      const expected = expectedMs(node, now)
      node.latencyMs = expected + (now - sentAt - expected) * smoothing
      node.answeredAt = now
      return reply
    } catch (error) {
      silence?.ended(performance.now())
      // What a client drops because its caller has left says nothing about the replica.
      if (client === primary || isAnswer(error) || caller?.settled) throw error
      // A script that a replica does not know yet says nothing about its other reads.
      if (!isUnknownScript(error)) node.restsUntil = performance.now() + restMs
      return primary.send(args, options, caller)
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
    send: (args, options, caller) =>
      options.readOnly ? read(args, options, caller) : primary.send(args, options, caller),
    primaries: () => primary.primaries(),
    watch: (events) => primary.watch(events),
    subscriber: (signal) => primary.subscriber(signal),
    close: async () => {
      for (const { silence } of others) silence?.close()
      await Promise.allSettled([primary.close(), ...replicas.map((provider) => provider.close())])
    },
    kill() {
      primary.kill()
      for (const { silence } of others) silence?.close()
      for (const provider of replicas) void provider.close()
    },
  }
}

function nodeOf(client: ClientPort | undefined): Node {
  return { client, latencyMs: 0, answeredAt: 0, restsUntil: 0, silence: undefined }
}

function expectedMs({ latencyMs, answeredAt }: Node, now: number): number {
  return latencyMs * 2 ** ((answeredAt - now) / halfLifeMs)
}

/** Whether the primary would reply with the same error, as it does to a wrong command, and not only this replica. */
function isAnswer(error: unknown): boolean {
  return meaningOf(error) === 'caller' && !isUnknownScript(error)
}

function isUnknownScript(error: unknown): boolean {
  return isError(error) && replyPrefix(error) === 'NOSCRIPT'
}
