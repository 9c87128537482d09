import type { Coordinator } from './balancing/coordinator.js'
import type { Request } from './balancing/request.js'
import type { Node } from './cluster/node.js'

/** The results of a run. Times are in seconds; a request without an answer counts as slower than any other. */
export interface Measures {
  readonly requests: number
  readonly latency: Quantiles
  readonly firstToken: Quantiles
  /** Share of requests that were answered, with the first token in time. */
  readonly goodput: number
  /** Share of requests that were refused, failed or given up. */
  readonly shed: number
  /** The nodes' mean share of time with anything to do, and its standard deviation divided by the mean. */
  readonly busy: number
  readonly busyVariation: number
  /** Requests on the fullest node, divided by the mean of all nodes, over the whole run. */
  readonly fullestToMean: number
  /** Share of prompt blocks that the node had in its cache; `undefined` if the traffic has no blocks. */
  readonly prefixHits: number | undefined
  /** The most calls that one coordinator gave to one faulty node before it was out of service. */
  readonly faultyCalls: number
  /** Until each faulty node was out of service at each coordinator; infinite if one never was. */
  readonly foundWithin: number
  readonly retries: number
}

export interface Quantiles {
  readonly p50: number
  readonly p99: number
}

/** The first token is in time by this, or by three times what the prompt takes alone if that is more. */
const inTimeMs = 10_000
const inTimeFactor = 3

export function measure(
  requests: readonly Request[],
  nodes: readonly Node[],
  coordinators: readonly Coordinator[],
  lastedMs: number,
): Measures {
  const answered = requests.filter(({ end }) => end === 'answered')
  const inTime = answered.filter(
    ({ firstTokenAt, arrivedAt, aloneMs }) =>
      (firstTokenAt ?? Number.POSITIVE_INFINITY) - arrivedAt <= Math.max(inTimeMs, inTimeFactor * aloneMs),
  )
  const busy = nodes.map(({ engine }) => engine.busyMs)
  const loads = nodes.map(({ engine }) => engine.requestMs)
  const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0)
  const mean = sum(busy) / nodes.length
  const seen = sum(nodes.map(({ engine }) => engine.blocksSeen))
  const deviation = Math.sqrt(sum(busy.map((ms) => (ms - mean) ** 2)) / nodes.length)
  return {
    requests: requests.length,
    latency: quantiles(requests, ({ end, endedAt, arrivedAt }) =>
      end === 'answered' ? endedAt - arrivedAt : Number.POSITIVE_INFINITY,
    ),
    firstToken: quantiles(requests, ({ end, firstTokenAt, arrivedAt }) =>
      end === 'answered' && firstTokenAt !== undefined ? firstTokenAt - arrivedAt : Number.POSITIVE_INFINITY,
    ),
    goodput: inTime.length / requests.length,
    shed: 1 - answered.length / requests.length,
    busy: mean / lastedMs,
    busyVariation: mean === 0 ? 0 : deviation / mean,
    fullestToMean: (Math.max(...loads) * nodes.length) / Math.max(1, sum(loads)),
    prefixHits: seen === 0 ? undefined : sum(nodes.map(({ engine }) => engine.blocksCached)) / seen,
    faultyCalls: Math.max(...coordinators.map(({ mostFaultyCalls }) => mostFaultyCalls)),
    foundWithin: Math.max(...coordinators.map(({ foundWithinMs }) => foundWithinMs)) / 1_000,
    retries: sum(coordinators.map(({ retries }) => retries)),
  }
}

function quantiles(requests: readonly Request[], msOf: (request: Request) => number): Quantiles {
  const sorted = Float64Array.from(requests, msOf).sort()
  const at = (share: number) =>
    (sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN) / 1_000
  return { p50: at(0.5), p99: at(0.99) }
}
