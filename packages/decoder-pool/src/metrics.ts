import { createLog, loadMeter, type MeterOptions } from '@evenkeel/core'
import type { PoolStatus } from './api.js'
import type { Exposure } from './experiments/experiments.js'
import { healthStates } from './health/status.js'

const log = createLog('decoder-pool')

export interface Observed {
  status(): PoolStatus
  exposures(): readonly Exposure[]
  /** Times that nodes were taken out for what their requests came to, by reason. */
  ejections(): Readonly<Record<string, number>>
  requests(): number
}

/** Metrics through OpenTelemetry, read when it asks: a choice costs no more for them. */
export class PoolMetrics {
  #stop = () => {}

  constructor(pool: string, options: boolean | MeterOptions, observed: Observed) {
    this.#register(pool, options, observed).catch((error: unknown) => log('no metrics: %s', error))
  }

  close(): void {
    this.#stop()
  }

  async #register(pool: string, options: boolean | MeterOptions, observed: Observed): Promise<void> {
    const meter = await loadMeter('@evenkeel/decoder-pool', options)
    if (meter === undefined) return
    const nodes = meter.createObservableGauge('evenkeel_pool_nodes', { description: 'Nodes, by state' })
    const inFlight = meter.createObservableGauge('evenkeel_pool_in_flight', {
      description: 'Requests of this coordinator under way',
    })
    const waiting = meter.createObservableGauge('evenkeel_pool_waiting', {
      description: 'Callers of this coordinator that wait for a place',
    })
    const requests = meter.createObservableCounter('evenkeel_pool_requests_total', {
      description: 'Requests that were given a node',
    })
    const ejections = meter.createObservableCounter('evenkeel_pool_ejections_total', {
      description: 'Times that nodes were taken out for what their requests came to, by reason',
    })
    const exposures = meter.createObservableCounter('evenkeel_pool_exposures_total', {
      description: 'Requests of experiments, by arm',
    })
    const preserving = meter.createObservableGauge('evenkeel_pool_self_preservation', {
      description: '1 while no node is removed for its silence alone',
    })
    const all = [nodes, preserving, inFlight, waiting, requests, ejections, exposures]
    const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = (result) => {
      const status = observed.status()
      const states = new Map<string, number>(healthStates.map((state) => [state, 0]))
      for (const { state } of status.nodes) states.set(state, (states.get(state) ?? 0) + 1)
      for (const [state, count] of states) result.observe(nodes, count, { pool, state })
      result.observe(preserving, status.preservation === undefined ? 0 : 1, { pool })
      result.observe(
        inFlight,
        status.nodes.reduce((sum, one) => sum + one.inFlight, 0),
        { pool },
      )
      result.observe(waiting, status.waiting, { pool })
      result.observe(requests, observed.requests(), { pool })
      for (const [reason, count] of Object.entries(observed.ejections())) {
        result.observe(ejections, count, { pool, reason })
      }
      for (const one of observed.exposures()) {
        const { experiment, arm } = one
        result.observe(exposures, one.requests - one.diverted, { pool, experiment, arm, diverted: false })
        result.observe(exposures, one.diverted, { pool, experiment, arm, diverted: true })
      }
    }
    meter.addBatchObservableCallback(observe, all)
    this.#stop = () => meter.removeBatchObservableCallback(observe, all)
  }
}
