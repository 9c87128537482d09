import {
  followMeter,
  type Measurement,
  type MeterOptions,
  type MetricTable,
  observeMetrics,
} from '@evenkeel/core/kit'
import type { Counts, StatsBook } from './stats.js'

/** What the memory of this process holds. */
export interface MemorySize {
  readonly entries: number
  readonly bytes: number
}

const packageName = '@evenkeel/llm-response-cache'

const outcomes = [
  ['hits', 'hit'],
  ['misses', 'miss'],
  ['coalesced', 'coalesced'],
  ['stale', 'stale'],
  ['bypassed', 'bypass'],
] as const

/**
 * Metrics through OpenTelemetry, read from the counts when it asks, so that a hit costs no more for them.
 * Labels are the outcome and the model (as `gen_ai.request.model`, of a bounded number of names), never a key,
 * a tenant or a prompt.
 */
export class Metrics {
  readonly #stats: StatsBook
  readonly #stops: readonly (() => void)[]
  #provider: { record(seconds: number, labels: Record<string, string>): void } | undefined

  constructor(cache: string, options: boolean | MeterOptions, stats: StatsBook, held: () => MemorySize) {
    this.#stats = stats
    this.#stops = [
      observeMetrics(packageName, options, tableOf(cache, stats, held)),
      followMeter(packageName, options, (meter) => {
        this.#provider = meter.createHistogram('evenkeel_response_cache_provider_duration_seconds', {
          description: 'Calls of the provider, until the answer began',
          unit: 's',
        })
        return () => {
          this.#provider = undefined
        }
      }),
    ]
  }

  /** Records a call of the provider, whether it succeeded or failed. */
  called(ms: number, model: string): void {
    this.#provider?.record(ms / 1_000, { 'gen_ai.request.model': this.#stats.labelOf(model) })
  }

  close(): void {
    for (const stop of this.#stops) stop()
  }
}

function tableOf(cache: string, stats: StatsBook, held: () => MemorySize): MetricTable {
  const byModel = (read: (counts: Counts) => number) => (): Measurement[] =>
    Object.entries(stats.read().byModel).map(([model, counts]) => ({
      value: read(counts),
      labels: { cache, 'gen_ai.request.model': model },
    }))
  const counter = (description: string, read: (counts: Counts) => number) =>
    ({ kind: 'counter', description, observe: byModel(read) }) as const
  const gauge = (description: string, read: () => number) =>
    ({ kind: 'gauge', description, observe: () => [{ value: read(), labels: { cache } }] }) as const
  return {
    evenkeel_response_cache_requests_total: {
      kind: 'counter',
      description: 'Calls, by how they were answered',
      observe: () =>
        Object.entries(stats.read().byModel).flatMap(([model, counts]) =>
          outcomes.map(([name, outcome]) => ({
            value: counts[name],
            labels: { cache, 'gen_ai.request.model': model, outcome },
          })),
        ),
    },
    evenkeel_response_cache_saved_tokens_total: counter(
      'Tokens that the provider had counted for answers that were reused',
      ({ tokensSaved }) => tokensSaved,
    ),
    evenkeel_response_cache_saved_money_total: counter(
      'What those tokens would have cost, by the host’s prices',
      ({ moneySaved }) => moneySaved,
    ),
    evenkeel_response_cache_provider_errors_total: counter(
      'Calls of the provider that failed',
      ({ errors }) => errors,
    ),
    evenkeel_response_cache_stored_total: counter('Entries written', ({ stored }) => stored),
    evenkeel_response_cache_memory_entries: gauge(
      'Entries in the memory of this process',
      () => held().entries,
    ),
    evenkeel_response_cache_memory_bytes: {
      ...gauge('Bytes of the entries in the memory of this process', () => held().bytes),
      unit: 'By',
    },
    evenkeel_response_cache_hit_ratio: gauge(
      'Share of calls that a stored or shared answer served, since the process began',
      () => stats.read().hitRate,
    ),
  }
}
