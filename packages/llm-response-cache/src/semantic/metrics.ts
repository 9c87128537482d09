import { type Measurement, type MeterOptions, observeMetrics } from '@evenkeel/core/kit'
import type { SemanticStats } from './stats.js'

const prefix = 'evenkeel_response_cache_semantic'

/** Metrics of look-ups by meaning, read from the counts when OpenTelemetry asks. No label tells of a question. */
export function observeSemantic(telemetry: boolean | MeterOptions, read: () => SemanticStats): () => void {
  const count = (description: string, of: (stats: SemanticStats) => number) =>
    ({ kind: 'counter', description, observe: () => [{ value: of(read()) }] }) as const
  return observeMetrics('@evenkeel/llm-response-cache', telemetry, {
    [`${prefix}_lookups_total`]: {
      kind: 'counter',
      description: 'Questions looked up by meaning: served, or why not',
      observe: (): Measurement[] => {
        const { hits, misses } = read()
        return Object.entries({ served: hits, ...misses }).map(([outcome, value]) => ({
          value,
          labels: { outcome },
        }))
      },
    },
    [`${prefix}_candidates_total`]: count(
      'Look-ups that found another question in the same context',
      (stats) => stats.candidates,
    ),
    [`${prefix}_verified_total`]: count('Answers that the host was asked about', (stats) => stats.verified),
    [`${prefix}_audits_total`]: count('Kept answers compared with fresh ones', (stats) => stats.audits),
    [`${prefix}_wrong_total`]: count(
      'Audited answers that would have been served and were wrong',
      (stats) => stats.falseHits.wrong,
    ),
  })
}
