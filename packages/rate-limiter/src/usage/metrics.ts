import { type Measurement, type MeterOptions, observeMetrics } from '@evenkeel/core/kit'
import type { LocalCounts } from './local-counts.js'

export interface MetricsOptions {
  /** Name of the limiter, for the metrics' labels. */
  readonly limiter: string
  readonly telemetry: boolean | MeterOptions
  readonly counts: LocalCounts
  readonly waiting: () => number
  readonly instances: () => number
  readonly now: () => number
}

/** Registers a limiter's metrics with OpenTelemetry. Returns a function that removes them. */
export function observeLimiter({
  limiter,
  telemetry,
  counts,
  waiting,
  instances,
  now,
}: MetricsOptions): () => void {
  const gauge = (description: string, read: () => number) => ({
    kind: 'gauge' as const,
    description,
    observe: (): Measurement[] => [{ value: read(), labels: { limiter } }],
  })
  return observeMetrics('@evenkeel/rate-limiter', telemetry, {
    evenkeel_rate_limiter_decisions_total: {
      kind: 'counter',
      description: 'Decisions, by outcome and by what decided',
      observe: () =>
        (['allowed', 'denied'] as const).flatMap((outcome) =>
          (['redis', 'memory'] as const).map((source) => ({
            value: counts.decisions[outcome][source],
            labels: { limiter, outcome, source },
          })),
        ),
    },
    evenkeel_rate_limiter_denials_total: {
      kind: 'counter',
      description: 'Denied calls, by the limit that denied them',
      observe: () => [...counts.denials].map(([limit, value]) => ({ value, labels: { limiter, limit } })),
    },
    evenkeel_rate_limiter_used_ratio: {
      kind: 'gauge',
      description: 'Highest share of a limit that a subject had used, of the decisions of the last minute',
      observe: () =>
        [...counts.highestUse.read(now())].map(([limit, value]) => ({ value, labels: { limiter, limit } })),
    },
    evenkeel_rate_limiter_waiting: gauge('Calls of this process that wait to be admitted', waiting),
    evenkeel_rate_limiter_instances: gauge('Instances that share the limits, as last seen', instances),
  })
}
