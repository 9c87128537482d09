import { bestOfTwo, type Strategy } from '../strategy.js'

/** Requests under way by what the node can take at the moment, of two. */
export const leastLoaded: Strategy = {
  name: 'least-loaded',
  choose: ({ states }, _, now, random) => bestOfTwo(states, (state) => state.loadAt(now), random),
}
