import type { ClientLibrary, Target } from '../clients/port.js'
import { linkSignals } from '../kit/signals.js'
import type { HostAndPort } from '../options.js'

export interface LiveNode {
  /** The node that answered first. */
  readonly answering: HostAndPort
  /** All nodes that it knows, as candidates for the next attempt. */
  readonly nodes: readonly HostAndPort[]
}

/**
 * Finds a node of a Cluster that answers, by asking all candidates at once. The client libraries try the
 * nodes that they are given one after the other without a deadline, so a frozen one would block them;
 * they are therefore given only the node that has just answered.
 */
export async function liveClusterNode(
  library: ClientLibrary,
  target: Target,
  candidates: readonly HostAndPort[],
  signal: AbortSignal,
): Promise<LiveNode> {
  const rest = linkSignals(signal)
  const stop = rest.signal
  try {
    return await Promise.any(
      distinct(candidates).map(async (answering) => {
        const client = await library.open({ ...target, ...answering }, stop)
        try {
          const slots = await client.send(['CLUSTER', 'SLOTS'], {})
          return { answering, nodes: nodesOf(slots) }
        } finally {
          client.kill()
        }
      }),
    )
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error
  } finally {
    rest.abort(new Error('Another node answered first'))
    rest.unlink()
  }
}

function distinct(nodes: readonly HostAndPort[]): readonly HostAndPort[] {
  return [...new Map(nodes.map((node) => [`${node.host}:${node.port}`, node])).values()]
}

/** CLUSTER SLOTS: ranges of [from, to, [ip, port, …], …]. */
function nodesOf(slots: unknown): readonly HostAndPort[] {
  if (!Array.isArray(slots)) return []
  const nodes = slots.flatMap((range) => (Array.isArray(range) ? range.slice(2) : []))
  return distinct(
    nodes.flatMap((node) =>
      Array.isArray(node) && node[0] ? [{ host: String(node[0]), port: Number(node[1]) }] : [],
    ),
  )
}
