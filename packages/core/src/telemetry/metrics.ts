import { createLog } from '../kit/log.js'
import { followMeter, type MeterOptions } from './meter.js'
import type { Labels, MeterLike, ObservableResultLike } from './provider.js'

/** One value of a metric, with its labels. */
export interface Measurement {
  readonly value: number
  readonly labels?: Labels | undefined
}

export interface ObservedMetric {
  /** A counter only grows; a gauge goes both ways. */
  readonly kind: 'counter' | 'gauge'
  readonly description: string
  /** As OpenTelemetry writes units: `s`, `By`. The name ends in it (`_seconds`, `_bytes`). */
  readonly unit?: string | undefined
  /** Read when the metrics are collected, so counting costs the path of a call nothing. */
  observe(): Iterable<Measurement> | number
}

/** Metrics of a package, by name: `evenkeel_<package>_<what>`. */
export type MetricTable = Readonly<Record<string, ObservedMetric>>

const log = createLog('metrics')

/**
 * Registers a table of metrics with OpenTelemetry, with the provider that the host gives or registers, now or
 * later. `name` is the package's. Returns a function that takes them out again; afterwards nothing of what
 * they observe is held.
 */
export function observeMetrics(
  name: string,
  options: boolean | MeterOptions,
  table: MetricTable,
): () => void {
  return followMeter(name, options, (meter) => register(meter, table))
}

function register(meter: MeterLike, table: MetricTable): () => void {
  const stops = Object.entries(table).map(([name, metric]) => {
    const { kind, description, unit } = metric
    const options = { description, ...(unit === undefined ? {} : { unit }) }
    const instrument =
      kind === 'counter'
        ? meter.createObservableCounter(name, options)
        : meter.createObservableGauge(name, options)
    const callback = (result: ObservableResultLike) => observe(name, metric, result)
    instrument.addCallback(callback)
    return () => instrument.removeCallback(callback)
  })
  return () => {
    for (const stop of stops) stop()
  }
}

/** A metric that can't be read leaves the others of the collection alone. */
function observe(name: string, metric: ObservedMetric, result: ObservableResultLike): void {
  try {
    const observed = metric.observe()
    if (typeof observed === 'number') result.observe(observed)
    else for (const { value, labels } of observed) result.observe(value, labels)
  } catch (error) {
    log('%s could not be read: %s', name, error)
  }
}
