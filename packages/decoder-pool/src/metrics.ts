import { createLog, loadMeter, type MeterOptions } from '@evenkeel/core'
import type { PoolStatus } from './decoder-pool.js'
import type { Exposure } from './experiments/experiments.js'

const log = createLog('decoder-pool')

export interface Observed {
  status(): PoolStatus
  exposures(): readonly Exposure[]
  /** Times that a node was taken out for its failures. */
  ejections(): number
  requests(): number
}

/** Metrics through OpenTelemetry, read when it asks: a choice costs no more for them. */
export class Metrics {
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
      description: 'Times that a node was taken out for its failures',
    })
    const exposures = meter.createObservableCounter('evenkeel_pool_exposures_total', {
      description: 'Requests of experiments, by arm',
    })
    const all = [nodes, inFlight, waiting, requests, ejections, exposures]
    const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = (result) => {
      const status = observed.status()
      const states = { serving: 0, suspect: 0, ejected: 0, unhealthy: 0, draining: 0 }
      for (const { node, healthy, ejected, suspect } of status.nodes) {
        const isOut = !healthy ? 'unhealthy' : ejected ? 'ejected' : suspect ? 'suspect' : 'serving'
        states[node.draining ? 'draining' : isOut]++
      }
      for (const [state, count] of Object.entries(states)) result.observe(nodes, count, { pool, state })
      result.observe(
        inFlight,
        status.nodes.reduce((sum, one) => sum + one.inFlight, 0),
        { pool },
      )
      result.observe(waiting, status.waiting, { pool })
      result.observe(requests, observed.requests(), { pool })
      result.observe(ejections, observed.ejections(), { pool })
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
