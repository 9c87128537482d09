import { createLog, loadMeter, type MeterOptions, type Source } from '@evenkeel/core'

const log = createLog('rate-limiter')

export interface Gauges {
  readonly waiting: () => number
  readonly instances: () => number
}

/** Counts for OpenTelemetry, read when it asks: a decision costs an addition. */
export class Metrics {
  readonly #counts = { allowed: { redis: 0, memory: 0 }, denied: { redis: 0, memory: 0 } }
  readonly #denials = new Map<string, number>()
  #stop = () => {}

  constructor(limiter: string, options: boolean | MeterOptions, gauges: Gauges) {
    this.#register(limiter, options, gauges).catch((error: unknown) => log('no metrics: %s', error))
  }

  count(allowed: boolean, source: Source, deniedBy: string | undefined): void {
    this.#counts[allowed ? 'allowed' : 'denied'][source]++
    if (allowed) return
    const limit = deniedBy ?? 'blocked'
    this.#denials.set(limit, (this.#denials.get(limit) ?? 0) + 1)
  }

  close(): void {
    this.#stop()
  }

  async #register(limiter: string, options: boolean | MeterOptions, gauges: Gauges): Promise<void> {
    const meter = await loadMeter('@evenkeel/rate-limiter', options)
    if (meter === undefined) return
    const decisions = meter.createObservableCounter('rate_limiter_decisions_total', {
      description: 'Decisions, by outcome and by who decided',
    })
    const denials = meter.createObservableCounter('rate_limiter_denials_total', {
      description: 'Denied calls, by the limit that denied them',
    })
    const waiting = meter.createObservableGauge('rate_limiter_waiting', {
      description: 'Calls of this process that wait to be admitted',
    })
    const instances = meter.createObservableGauge('rate_limiter_instances', {
      description: 'Instances that share the limits, as last seen',
    })
    const observed = [decisions, denials, waiting, instances]
    const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = (result) => {
      for (const outcome of ['allowed', 'denied'] as const) {
        for (const source of ['redis', 'memory'] as const)
          result.observe(decisions, this.#counts[outcome][source], { limiter, outcome, source })
      }
      for (const [limit, count] of this.#denials) result.observe(denials, count, { limiter, limit })
      result.observe(waiting, gauges.waiting(), { limiter })
      result.observe(instances, gauges.instances(), { limiter })
    }
    meter.addBatchObservableCallback(observe, observed)
    this.#stop = () => meter.removeBatchObservableCallback(observe, observed)
  }
}
