import { option } from '../kit/validate.js'
import type { MeterProviderLike, TracerProviderLike } from './provider.js'

export interface TelemetryOptions {
  /** @default the one registered with OpenTelemetry, now or later */
  readonly meterProvider?: MeterProviderLike | undefined
  /** @default the one registered with OpenTelemetry, now or later */
  readonly tracerProvider?: TracerProviderLike | undefined
  /**
   * Of a connection a CLIENT span a command, of the other packages a span a call. Off unless asked for: the client
   * libraries' own instrumentations make spans of commands too, and two for one command mislead. @default false
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
