import type { Strategy, StrategyName } from '../strategy.js'
import { consistentHash } from './consistent-hash.js'
import { latency } from './latency.js'
import { leastLoaded } from './least-loaded.js'
import { prefix } from './prefix.js'
import { prequal } from './prequal.js'
import { random } from './random.js'
import { weightedRoundRobin } from './weighted-round-robin.js'

/** Some strategies have state, so each pool makes its own. */
export const makeStrategy: Readonly<Record<StrategyName, () => Strategy>> = {
  'least-loaded': () => leastLoaded,
  latency,
  'weighted-round-robin': weightedRoundRobin,
  'consistent-hash': () => consistentHash(leastLoaded),
  prefix: () => prefix(leastLoaded),
  prequal,
  random: () => random,
}
