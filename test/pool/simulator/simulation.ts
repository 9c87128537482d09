import type { Balancer } from './balancing/balancers.js'
import { Coordinator } from './balancing/coordinator.js'
import { Request } from './balancing/request.js'
import { type EngineModel, eightCards, prefillMs } from './cluster/engine-model.js'
import { type Fault, planFaults } from './cluster/faults.js'
import { Node } from './cluster/node.js'
import { drawsOf } from './draws.js'
import { type Measures, measure } from './measures.js'
import { Timeline } from './timeline.js'
import type { Arrival } from './traffic/arrival.js'

export interface Setting {
  readonly balancer: Balancer
  /** With the times at which they arrive in the run. */
  readonly arrivals: readonly Arrival[]
  readonly nodes: number
  readonly coordinators: number
  readonly seed: number
  readonly model?: EngineModel | undefined
  readonly faults?: readonly Fault[] | undefined
  /** How often nodes report their requests in flight to coordinators. @default 500 ms */
  readonly reportEveryMs?: number | undefined
  /** How long a report takes to arrive. @default 20 ms */
  readonly reportDelayMs?: number | undefined
  /** How long a caller waits for the first token. @default 2 minutes */
  readonly patienceMs?: number | undefined
}

export interface Outcome {
  readonly measures: Measures
  readonly requests: readonly Request[]
  readonly nodes: readonly Node[]
}

/** As in the package; each coordinator probes for itself. */
const probeEveryMs = 5_000
const confirmShare = 0.25
/** How long a message through Redis takes. */
const messageDelayMs = 1

/** One run. Arrivals and failures depend on the seed alone, so all strategies meet the same ones. */
export function simulate(setting: Setting): Outcome {
  const { arrivals, balancer, seed, model = eightCards, patienceMs = 120_000 } = setting
  const timeline = new Timeline()
  const nodes = Array.from(
    { length: setting.nodes },
    (_, index) => new Node(index, model, timeline, drawsOf(seed, `errors of ${index}`)),
  )
  const coordinators = Array.from(
    { length: setting.coordinators },
    (_, index) => new Coordinator(balancer, timeline, drawsOf(seed, `choices of ${index}`)),
  )
  const lastsMs = arrivals.at(-1)?.atMs ?? 0
  planFaults(setting.faults ?? [], nodes, timeline, lastsMs, (node) => {
    for (const coordinator of coordinators) coordinator.join(node, true)
  })
  for (const node of nodes)
    if (node.isRegistered) for (const coordinator of coordinators) coordinator.join(node, false)

  let open = arrivals.length
  const spreading = drawsOf(seed, 'which coordinator')
  const requests = arrivals.map((arrival) => {
    const alone = prefillMs(model, arrival.promptTokens, 0)
    const request = new Request(
      arrival,
      alone,
      () => timeline.now,
      () => open--,
    )
    const coordinator = coordinators[spreading.below(coordinators.length)]
    timeline.at(arrival.atMs, () => coordinator?.begin(request))
    timeline.at(arrival.atMs + patienceMs, () => {
      if (request.end !== undefined || request.firstTokenAt !== undefined) return
      coordinator?.giveUp(request)
      request.giveUp()
    })
    return request
  })
  planTalk(setting, timeline, coordinators, nodes, () => open > 0)
  let lastEnd = 0
  timeline.run()
  for (const coordinator of coordinators) coordinator.close()
  for (const { endedAt } of requests) lastEnd = Math.max(lastEnd, endedAt)
  return { measures: measure(requests, nodes, coordinators, lastEnd), requests, nodes }
}

/** Plans reports and probes, out of step between coordinators. */
function planTalk(
  { seed, reportEveryMs = 500, reportDelayMs = 20 }: Setting,
  timeline: Timeline,
  coordinators: readonly Coordinator[],
  nodes: readonly Node[],
  isOpen: () => boolean,
): void {
  const phases = drawsOf(seed, 'rhythms')
  const every = (ms: number, happen: () => void) => {
    const again = () => {
      if (!isOpen()) return
      happen()
      timeline.after(ms, again)
    }
    timeline.at(phases.next() * ms, again)
  }
  for (const coordinator of coordinators) {
    coordinator.onEjected = (ejected) =>
      timeline.after(messageDelayMs, () => {
        for (const other of coordinators) if (other !== coordinator) other.ejectedElsewhere(ejected)
      })
    const confirm = () => {
      if (coordinator.probe(true)) timeline.after(probeEveryMs * confirmShare, confirm)
    }
    every(probeEveryMs, () => {
      if (coordinator.probe(false)) timeline.after(probeEveryMs * confirmShare, confirm)
    })
    every(reportEveryMs, () => {
      const told = new Map(
        nodes
          .filter(({ isAlive, isRegistered }) => isAlive && isRegistered)
          .map(({ registered, engine }) => [registered.id, engine.running + engine.waiting]),
      )
      timeline.after(reportDelayMs, () => coordinator.reported(told))
    })
  }
}
