import { balancers } from '../balancing/balancers.js'
import { type EngineModel, eightCards } from '../cluster/engine-model.js'
import { type Fault, flapping } from '../cluster/faults.js'
import type { Measures } from '../measures.js'
import { simulate } from '../simulation.js'
import type { Traffic } from '../traffic/arrival.js'
import { atLoad } from '../traffic/load.js'

export interface Plan {
  readonly traffics: readonly Traffic[]
  readonly loads: readonly number[]
  readonly nodes: number
  readonly coordinators: number
  readonly seed: number
}

/** One strategy in one setting. */
export interface Row {
  readonly balancer: string
  readonly measures: Measures
}

export interface Scenario {
  readonly title: string
  readonly rows: readonly Row[]
}

export interface Results {
  readonly plan: Plan
  /** All strategies, by traffic and load. */
  readonly byLoad: readonly {
    readonly traffic: string
    readonly load: number
    readonly rows: readonly Row[]
  }[]
  /** On the first traffic, at the load in the middle. */
  readonly byCoordinators: readonly { readonly coordinators: number; readonly rows: readonly Row[] }[]
  readonly byStaleness: readonly { readonly reportEveryMs: number; readonly rows: readonly Row[] }[]
  readonly byCache: readonly { readonly cacheBlocks: number; readonly rows: readonly Row[] }[]
  readonly faults: readonly Scenario[]
}

interface Given {
  readonly load: number
  readonly coordinators?: number
  readonly model?: EngineModel
  readonly faults?: readonly Fault[]
  readonly reportEveryMs?: number
}

/** Runs every strategy in every setting; `tell` is called with each setting before it runs. */
export function runAll(plan: Plan, tell: (setting: string) => void): Results {
  const [main] = plan.traffics
  if (main === undefined) throw new Error('No traffic to simulate')
  const usual = usualLoad(plan)
  const run = (title: string, traffic: Traffic, { load, coordinators, ...given }: Given): readonly Row[] => {
    tell(title)
    const arrivals = atLoad(traffic.arrivals, load, plan.nodes, given.model ?? eightCards)
    return balancers.map((balancer) => ({
      balancer: balancer.name,
      measures: simulate({
        balancer,
        arrivals,
        nodes: plan.nodes,
        seed: plan.seed,
        ...given,
        coordinators: coordinators ?? plan.coordinators,
      }).measures,
    }))
  }
  return {
    plan,
    byLoad: plan.traffics.flatMap((traffic) =>
      plan.loads.map((load) => ({
        traffic: traffic.name,
        load,
        rows: run(`${traffic.name} at load ${load}`, traffic, { load }),
      })),
    ),
    byCoordinators: [1, 2, 4, 8].map((coordinators) => ({
      coordinators,
      rows: run(`${coordinators} coordinators`, main, { load: usual, coordinators }),
    })),
    byStaleness: [100, 500, 2_000, 10_000].map((reportEveryMs) => ({
      reportEveryMs,
      rows: run(`reports every ${reportEveryMs} ms`, main, { load: usual, reportEveryMs }),
    })),
    byCache: [500, 2_000, 8_000].map((cacheBlocks) => ({
      cacheBlocks,
      rows: run(`${cacheBlocks} blocks`, main, { load: usual, model: { ...eightCards, cacheBlocks } }),
    })),
    faults: faultsOf(plan.nodes).map(({ title, faults }) => ({
      title,
      rows: run(title, main, { load: faultyLoad, faults }),
    })),
  }
}

/** With faulty nodes the others must have room, or the results only show that they have none. */
export const faultyLoad = 0.6

/** The middle one of the plan's loads. */
export function usualLoad({ loads }: Plan): number {
  return [...loads].sort((one, other) => one - other)[Math.floor(loads.length / 2)] ?? 0.8
}

function faultsOf(nodes: number): readonly { readonly title: string; readonly faults: readonly Fault[] }[] {
  // An eighth of the nodes, spread over the list.
  const some = Array.from(
    { length: Math.max(1, Math.floor(nodes / 8)) },
    (_, index) => (index * 5 + 2) % nodes,
  )
  const all = (is: Fault['is'], from: number, to: number) => some.map((node) => ({ node, from, to, is }))
  return [
    { title: 'An eighth of the nodes three times as slow', faults: all({ kind: 'slow', times: 3 }, 0, 1) },
    {
      title: 'An eighth fail half of their requests within 50 ms, for half of the time',
      faults: all({ kind: 'failing', share: 0.5 }, 0.25, 0.75),
    },
    { title: 'An eighth die for a third of the time', faults: all({ kind: 'dead' }, 0.3, 0.63) },
    { title: 'An eighth die and come back ten times', faults: some.flatMap((node) => flapping(node, 10)) },
    ...[
      { title: 'An eighth refuse every caller within 2 ms (401)', manner: 'denies' as const },
      { title: 'An eighth take requests and say nothing', manner: 'hangs' as const },
      { title: 'An eighth cut every connection after 20 ms', manner: 'cuts' as const },
    ].map(({ title, manner }) => ({
      title: `${title}, for half of the time, and pass their health checks`,
      faults: all({ kind: 'useless', manner }, 0.25, 0.75),
    })),
    { title: 'An eighth join at the middle', faults: all({ kind: 'absent' }, 0, 0.5) },
  ]
}
