import { bestOfTwo, type Strategy } from '../strategy.js'

/**
 * Expected wait, of two: the load with this request in it, times how long the node's requests take. The
 * latency is a peak EWMA (Finagle): it jumps up with a slow answer and comes down slowly.
 */
export const latency: Strategy = {
  name: 'latency',
  choose: ({ states }, _, now, random) =>
    bestOfTwo(states, (state) => state.loadAt(now, 1) * state.latencyAt(now), random),
}
