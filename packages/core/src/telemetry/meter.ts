import type { Meter, MeterProvider } from '@opentelemetry/api'

export interface MeterOptions {
  /** @default the one registered with OpenTelemetry */
  readonly meterProvider?: MeterProvider | undefined
}

/**
 * A meter for a package's own metrics; `undefined` where the host has registered none and gives none, so that
 * nothing is counted for nobody. OpenTelemetry is imported here, with the first use: it takes longer than core.
 */
export async function loadMeter(name: string, options: boolean | MeterOptions): Promise<Meter | undefined> {
  if (options === false) return undefined
  const api = await import('@opentelemetry/api')
  const given = options === true ? undefined : options.meterProvider
  const registered = api.metrics.getMeterProvider()
  const isRegistered = registered.constructor.name !== 'NoopMeterProvider'
  return (given ?? (isRegistered ? registered : undefined))?.getMeter(name)
}
