import { option } from '../kit/validate.js'
import type { MeterProviderLike, TracerProviderLike } from './provider.js'

export interface TelemetryOptions {
  /** @default the one registered with OpenTelemetry, now or later */
  readonly meterProvider?: MeterProviderLike | undefined
  /** @default the one registered with OpenTelemetry, now or later */
  readonly tracerProvider?: TracerProviderLike | undefined
  /**
   * Creates a CLIENT span for each command of a connection, and a span for each call of the other packages. Off by
   * default: the client libraries' own instrumentations create spans of commands too. @default false
   */
  readonly spans?: boolean | undefined
}

/** @throws InvalidOptionError */
export function resolveTelemetry(options: boolean | TelemetryOptions): boolean | TelemetryOptions {
  if (typeof options === 'boolean') return options
  option.members('telemetry', options, { meterProvider: true, tracerProvider: true, spans: true })
  const { meterProvider, tracerProvider, spans } = options
  if (spans !== undefined) option.flag('telemetry.spans', spans)
  if (meterProvider !== undefined) option.fn('telemetry.meterProvider.getMeter', meterProvider?.getMeter)
  if (tracerProvider !== undefined) option.fn('telemetry.tracerProvider.getTracer', tracerProvider?.getTracer)
  return options
}
