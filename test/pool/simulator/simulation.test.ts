import { describe, expect, it } from 'vitest'
import { strategyNames } from '../../../packages/decoder-pool/src/balancing/strategy.js'
import { balancerOf, balancers } from './balancing/balancers.js'
import { eightCards } from './cluster/engine-model.js'
import { flapping } from './cluster/faults.js'
import { simulate } from './simulation.js'
import { atLoad } from './traffic/load.js'
import { conversations, poisson } from './traffic/synthetic.js'

const { arrivals } = conversations(1_200, 7)
const faults = [
  { node: 0, from: 0, to: 1, is: { kind: 'slow', times: 3 } },
  { node: 1, from: 0.2, to: 0.7, is: { kind: 'failing', share: 0.5 } },
  { node: 2, from: 0, to: 0.5, is: { kind: 'absent' } },
  ...flapping(3, 4),
] as const

function runOf(name: string, load = 0.8, seed = 1) {
  const setting = { nodes: 8, coordinators: 3, seed, faults }
  return simulate({ ...setting, balancer: balancerOf(name), arrivals: atLoad(arrivals, load, 8, eightCards) })
}

describe.each(balancers.map(({ name }) => name))(
  '%s, with slow, failing, flapping and late nodes',
  (name) => {
    const { requests, nodes, measures } = runOf(name)

    it('ends each request exactly once, and leaves nothing on a node', () => {
      // A second end would have thrown.
      expect(requests.filter(({ end }) => end === undefined)).toEqual([])
      expect(nodes.map(({ engine }) => engine.running + engine.waiting)).toEqual(nodes.map(() => 0))
      expect(measures.requests).toBe(arrivals.length)
      expect(measures.goodput + measures.shed).toBeLessThanOrEqual(1)
    })

    it('never has a node work on more than its capacity, nor be busy for longer than time is', () => {
      const last = Math.max(...requests.map(({ endedAt }) => endedAt))
      for (const { engine } of nodes) {
        expect(engine.mostRunning).toBeLessThanOrEqual(eightCards.maxRunning)
        expect(engine.busyMs).toBeLessThanOrEqual(last)
        expect(engine.blocksCached).toBeLessThanOrEqual(engine.blocksSeen)
      }
    })

    it('answers nobody sooner than a node without anything else to do could', () => {
      const { chunkTokens, prefillMsPerToken, stepMs } = eightCards
      const slack = (chunkTokens * prefillMsPerToken + stepMs) / (chunkTokens * prefillMsPerToken)
      for (const { end, endedAt, arrivedAt, firstTokenAt = Number.NaN, work } of requests) {
        if (end !== 'answered') continue
        expect(firstTokenAt).toBeGreaterThan(arrivedAt)
        expect(endedAt - firstTokenAt).toBeGreaterThanOrEqual((work.answerTokens - 1) * stepMs - 1e-3)
        // At least the prompt's last token is computed.
        expect(firstTokenAt - arrivedAt).toBeGreaterThanOrEqual(prefillMsPerToken * slack - 1e-3)
      }
    })

    it('gives the same with the same seed, and another with another', () => {
      expect(runOf(name).measures).toEqual(measures)
      expect(runOf(name, 0.8, 2).measures).not.toEqual(measures)
    })
  },
)

describe.each(['denies', 'hangs', 'cuts'] as const)(
  'a node that %s and passes its health checks',
  (manner) => {
    const calls = new Map(
      balancers.map((balancer) => {
        const useless = { node: 2, from: 0.1, to: 0.9, is: { kind: 'useless', manner } } as const
        const { measures } = simulate({
          balancer,
          arrivals: atLoad(arrivals, 0.4, 8, eightCards),
          nodes: 8,
          coordinators: 3,
          seed: 1,
          faults: [useless],
          patienceMs: 20_000,
        })
        return [balancer.name, measures]
      }),
    )

    it.each(strategyNames)('is found by every coordinator under %s, at the cost of few calls', (name) => {
      const { foundWithin, faultyCalls } = calls.get(name) ?? expect.unreachable()
      expect(foundWithin).toBeLessThan(Number.POSITIVE_INFINITY)
      // Three failures, and the calls in flight at the third.
      expect(faultyCalls).toBeLessThanOrEqual(manner === 'hangs' ? 12 : 6)
    })

    it('gets no more of the traffic by failing quickly than by chance', () => {
      const byChance = calls.get('random')?.faultyCalls ?? 0
      for (const name of strategyNames) expect(calls.get(name)?.faultyCalls).toBeLessThanOrEqual(2 * byChance)
    })
  },
)

describe('a node that is a queue of theory', () => {
  // One at a time, exponential work: an M/M/1.
  const one = {
    maxRunning: 1,
    maxQueued: 1e6,
    chunkTokens: 1,
    prefillMsPerToken: 1,
    attentionMsPerToken: 0,
    stepMs: 0,
    stepMsPerContextToken: 0,
    cacheBlocks: 0,
    blockTokens: 512,
  }

  it.each([0.5, 0.7])('has the mean and the 99th percentile of the closed formula at load %d', (load) => {
    const meanMs = 100
    const traffic = poisson(120_000, (1_000 * load) / meanMs, meanMs, 1)
    const { requests, measures } = simulate({
      balancer: balancerOf('random'),
      arrivals: traffic.arrivals,
      nodes: 1,
      coordinators: 1,
      seed: 1,
      model: one,
      patienceMs: Number.MAX_SAFE_INTEGER,
    })
    const times = requests.map(({ endedAt, arrivedAt }) => endedAt - arrivedAt)
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length
    // Sojourn times of an M/M/1 are exponential too.
    const expected = meanMs / (1 - load)
    expect(Math.abs(mean / expected - 1)).toBeLessThan(0.03)
    expect(Math.abs((measures.latency.p99 * 1_000) / (expected * Math.log(100)) - 1)).toBeLessThan(0.05)
    expect(measures.busy).toBeCloseTo(load, 2)
  })
})
