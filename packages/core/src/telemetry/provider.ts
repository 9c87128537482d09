/**
 * What evenkeel uses of OpenTelemetry, by shape: a host's providers fit, and no type of OpenTelemetry shows in a
 * declaration of ours.
 */
export interface MeterProviderLike {
  getMeter(name: string): MeterLike
}

export interface TracerProviderLike {
  getTracer(name: string): TracerLike
}

export interface TracerLike {
  startSpan(name: string, options?: SpanOptions): SpanLike
  startActiveSpan<T>(name: string, options: SpanOptions, call: (span: SpanLike) => T): T
}

export interface SpanOptions {
  readonly kind?: number
  /** Milliseconds since the epoch. */
  readonly startTime?: number
  readonly attributes?: Record<string, AttributeValue>
}

/** What an attribute of a span may be. */
export type AttributeValue = string | number | boolean | string[]

export interface SpanLike {
  setAttribute(name: string, value: AttributeValue): unknown
  setStatus(status: { code: number }): unknown
  end(endTime?: number): void
}

export interface InstrumentOptions {
  readonly description?: string
  readonly unit?: string
  readonly advice?: { explicitBucketBoundaries?: number[] }
}

export type Labels = Readonly<Record<string, string | number | boolean>>

export interface MeterLike {
  createCounter(name: string, options?: InstrumentOptions): { add(value: number, labels?: Labels): void }
  createHistogram(name: string, options?: InstrumentOptions): { record(value: number, labels?: Labels): void }
  createObservableCounter(name: string, options?: InstrumentOptions): ObservableInstrument
  createObservableGauge(name: string, options?: InstrumentOptions): ObservableInstrument
  addBatchObservableCallback(callback: BatchCallback, instruments: ObservableInstrument[]): void
  removeBatchObservableCallback(callback: BatchCallback, instruments: ObservableInstrument[]): void
}

export type BatchCallback = (result: {
  observe(instrument: ObservableInstrument, value: number, labels?: Labels): void
}) => void

export interface ObservableInstrument {
  addCallback(callback: (result: ObservableResultLike) => void): void
  removeCallback(callback: (result: ObservableResultLike) => void): void
}

export interface ObservableResultLike {
  observe(value: number, labels?: Labels): void
}
