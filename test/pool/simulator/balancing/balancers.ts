import { makeStrategy } from '../../../../packages/decoder-pool/src/balancing/strategies/index.js'
import { type Strategy, strategyNames } from '../../../../packages/decoder-pool/src/balancing/strategy.js'
import { leastBusy, roundRobin, simpleShuffle } from './baselines.js'

export interface Balancer {
  readonly name: string
  readonly make: () => Strategy
  /** Whether it avoids full nodes; the baselines know no capacity. */
  readonly mindsCapacity: boolean
}

const ours = strategyNames.map((name): Balancer => ({ name, make: makeStrategy[name], mindsCapacity: true }))

const others = [roundRobin, simpleShuffle, leastBusy].map(
  (make): Balancer => ({ name: make().name, make, mindsCapacity: false }),
)

/** The baselines, then all strategies of the package. */
export const balancers: readonly Balancer[] = [...others, ...ours]

export function balancerOf(name: string): Balancer {
  const found = balancers.find((balancer) => balancer.name === name)
  if (found === undefined)
    throw new Error(`No strategy '${name}'; there are ${balancers.map((one) => one.name).join(', ')}`)
  return found
}
