import { createLog } from '../kit/log.js'
import { followMeter, type MeterOptions } from './meter.js'
import type { Labels, MeterLike, ObservableInstrument, ObservableResultLike } from './provider.js'

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

/** A metric that can't be read leaves the others of the collection alone. Returns the labels that were observed. */
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
 * An SDK that adds up (as for Prometheus) exports the last value of a gauge for as long as the process runs. The last
 * one is 0, so that no alert sees what is gone.
 */
function endSeries(instrument: ObservableInstrument, labels: readonly (Labels | undefined)[]): void {
  if (labels.length === 0) return
  const end = (result: ObservableResultLike) => {
    for (const one of labels) result.observe(0, one)
    // The SDK walks its callbacks just now.
    queueMicrotask(() => instrument.removeCallback(end))
  }
  instrument.addCallback(end)
}
