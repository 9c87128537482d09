import { bestOfFew, type Strategy } from '../strategy.js'

/** Requests under way, with this one, by what the node can take at the moment: the least of a few. */
export const leastLoaded: Strategy = {
  name: 'least-loaded',
  choose: ({ states }, _, now, random) => bestOfFew(states, (state) => state.loadAt(now, 1), random),
}
