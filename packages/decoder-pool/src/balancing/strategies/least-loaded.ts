import { bestOfFew, type Strategy } from '../strategy.js'

/** The lowest load of a few nodes: requests in flight and this one, divided by what the node can take now. */
export const leastLoaded: Strategy = {
  name: 'least-loaded',
  choose: ({ states }, _, now, random) => bestOfFew(states, (state) => state.loadAt(now, 1), random),
}
