import { type Measurement, type MeterOptions, type MetricTable, observeMetrics } from '@evenkeel/core/kit'
import type { PoolStatus } from './api.js'
import type { Exposure } from './experiments/experiments.js'
import { healthStates } from './health/status.js'

export interface Observed {
  status(): PoolStatus
  exposures(): readonly Exposure[]
  /** Number of ejections, by reason. */
  ejections(): Readonly<Record<string, number>>
  requests(): number
}

/** Registers metrics with OpenTelemetry, which reads them when it collects. Returns a function that removes them. */
export function observePool(pool: string, options: boolean | MeterOptions, observed: Observed): () => void {
  return observeMetrics('@evenkeel/decoder-pool', options, tableOf(pool, observed))
}

function tableOf(pool: string, observed: Observed): MetricTable {
  const one = (value: number): Measurement[] => [{ value, labels: { pool } }]
  return {
    evenkeel_decoder_pool_nodes: {
      kind: 'gauge',
      description: 'Nodes, by state',
      observe: () => nodesByState(observed.status(), pool),
    },
    evenkeel_decoder_pool_in_flight: {
      kind: 'gauge',
      description: 'Requests of this coordinator that are in flight',
      observe: () => one(observed.status().nodes.reduce((sum, { inFlight }) => sum + inFlight, 0)),
    },
    evenkeel_decoder_pool_waiting: {
      kind: 'gauge',
      description: 'Callers of this coordinator that wait for a slot',
      observe: () => one(observed.status().waiting),
    },
    evenkeel_decoder_pool_requests_total: {
      kind: 'counter',
      description: 'Requests that were given a node',
      observe: () => one(observed.requests()),
    },
    evenkeel_decoder_pool_ejections_total: {
      kind: 'counter',
      description: 'Ejections of nodes because of the outcomes of their requests, by reason',
      observe: () =>
        Object.entries(observed.ejections()).map(([reason, value]) => ({ value, labels: { pool, reason } })),
    },
    evenkeel_decoder_pool_exposures_total: {
      kind: 'counter',
      description: 'Requests of experiments, by arm',
      observe: () => observed.exposures().flatMap((exposure) => exposureOf(exposure, pool)),
    },
    evenkeel_decoder_pool_self_preservation: {
      kind: 'gauge',
      description: '1 in self-preservation, in which no node is removed only because it is silent',
      observe: () => one(observed.status().preservation === undefined ? 0 : 1),
    },
  }
}

function nodesByState({ nodes }: PoolStatus, pool: string): Measurement[] {
  const states = new Map<string, number>(healthStates.map((state) => [state, 0]))
  for (const { state } of nodes) states.set(state, (states.get(state) ?? 0) + 1)
  return [...states].map(([state, value]) => ({ value, labels: { pool, state } }))
}

function exposureOf({ experiment, arm, requests, diverted }: Exposure, pool: string): Measurement[] {
  return [
    { value: requests - diverted, labels: { pool, experiment, arm, diverted: false } },
    { value: diverted, labels: { pool, experiment, arm, diverted: true } },
  ]
}
