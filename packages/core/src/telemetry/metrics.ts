import { queueMicrotask } from '../kit/event-loop.js'
import { createLog } from '../kit/log.js'
import { followMeter, type MeterOptions } from './meter.js'
import type { Labels, MeterLike, ObservableInstrument, ObservableResultLike } from './provider.js'

/** One value of a metric, with its labels. */
export interface Measurement {
  readonly value: number
  readonly labels?: Labels | undefined
}

export interface ObservedMetric {
  /** A counter only grows; a gauge may also fall. */
  readonly kind: 'counter' | 'gauge'
  readonly description: string
  /** As OpenTelemetry writes units: `s`, `By`. The metric's name ends with the unit (`_seconds`, `_bytes`). */
  readonly unit?: string | undefined
  /** Called when the metrics are collected, so it costs nothing on the path of a call. */
  observe(): Iterable<Measurement> | number
}

/** Metrics of a package, by name: `evenkeel_<package>_<what>`. */
export type MetricTable = Readonly<Record<string, ObservedMetric>>

const log = createLog('metrics')

/**
 * Registers a table of metrics with OpenTelemetry, with the provider that the host gives or registers, now or
 * later. `name` is the package's. Returns a function that removes them; afterwards nothing that they observe
 * is held.
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
    let last: readonly (Labels | undefined)[] = []
    const callback = (result: ObservableResultLike) => {
      last = observe(name, metric, result)
    }
    instrument.addCallback(callback)
    return () => {
      instrument.removeCallback(callback)
      if (kind === 'gauge') endSeries(instrument, last)
      last = []
    }
  })
  return () => {
    for (const stop of stops) stop()
  }
}

/** Returns the labels that were observed. A metric that can't be read does not affect the others. */
function observe(
  name: string,
  metric: ObservedMetric,
  result: ObservableResultLike,
): readonly (Labels | undefined)[] {
  try {
    const observed = metric.observe()
    const measurements = typeof observed === 'number' ? [{ value: observed }] : [...observed]
    for (const { value, labels } of measurements as readonly Measurement[]) result.observe(value, labels)
    return measurements.map((measurement: Measurement) => measurement.labels)
  } catch (error) {
    log('%s could not be read: %s', name, error)
    return []
  }
}

/**
 * A cumulative SDK (as for Prometheus) exports the last value of a gauge for as long as the process runs. So the last
 * value is set to 0, and no alert fires for what no longer exists.
 */
function endSeries(instrument: ObservableInstrument, labels: readonly (Labels | undefined)[]): void {
  if (labels.length === 0) return
  const end = (result: ObservableResultLike) => {
    for (const one of labels) result.observe(0, one)
    // Removed later, because the SDK is iterating over its callbacks now.
    queueMicrotask(() => instrument.removeCallback(end))
  }
  instrument.addCallback(end)
}
