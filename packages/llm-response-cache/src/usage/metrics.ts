import { createLog, loadMeter, type MeterOptions } from '@evenkeel/core'
import type { StatsBook } from './stats.js'

const log = createLog('llm-response-cache')

export interface CachedEntry {
  readonly entries: number
  readonly bytes: number
}

const requests = [
  ['hits', 'hit'],
  ['misses', 'miss'],
  ['coalesced', 'coalesced'],
  ['stale', 'stale'],
  ['bypassed', 'bypass'],
] as const

/**
 * Metrics through OpenTelemetry, read from the counts when it asks, so that a hit costs no more for them.
 * Labels are the outcome and the model (as `gen_ai.request.model`), never a key, a tenant or a prompt.
 */
export class Metrics {
  #provider: { record(seconds: number, labels: Record<string, string>): void } | undefined
  #stop = () => {}

  constructor(cache: string, options: boolean | MeterOptions, stats: StatsBook, held: () => CachedEntry) {
    this.#register(cache, options, stats, held).catch((error: unknown) => log('no metrics: %s', error))
  }

  /** A call of the provider ended, well or not. */
  called(ms: number, model = 'unknown'): void {
    this.#provider?.record(ms / 1_000, { 'gen_ai.request.model': model })
  }

  close(): void {
    this.#stop()
  }

  async #register(
    cache: string,
    options: boolean | MeterOptions,
    stats: StatsBook,
    held: () => CachedEntry,
  ): Promise<void> {
    const meter = await loadMeter('@evenkeel/llm-response-cache', options)
    if (meter === undefined) return
    this.#provider = meter.createHistogram('evenkeel_cache_provider_duration', {
      description: 'Calls of the provider, until the answer began',
      unit: 's',
    })
    const counters = {
      requests: meter.createObservableCounter('evenkeel_cache_requests_total', {
        description: 'Calls, by how they were answered',
      }),
      tokens: meter.createObservableCounter('evenkeel_cache_saved_tokens_total', {
        description: 'Tokens that the provider had counted for answers that were reused',
      }),
      money: meter.createObservableCounter('evenkeel_cache_saved_money_total', {
        description: 'What those would have cost, by the host’s prices',
      }),
      errors: meter.createObservableCounter('evenkeel_cache_provider_errors_total', {
        description: 'Calls of the provider that failed',
      }),
      stored: meter.createObservableCounter('evenkeel_cache_stored_total', {
        description: 'Entries written',
      }),
    }
    const entries = meter.createObservableGauge('evenkeel_cache_held_entries', {
      description: 'Entries in the memory of this process',
    })
    const bytes = meter.createObservableGauge('evenkeel_cache_held_bytes', { unit: 'By' })
    const ratio = meter.createObservableGauge('evenkeel_cache_hit_ratio', {
      description: 'Answers reused by all that could have been, since the process began',
    })
    const observed = [...Object.values(counters), entries, bytes, ratio]
    const observe: Parameters<typeof meter.addBatchObservableCallback>[0] = (result) => {
      const { byModel, hitRate } = stats.read()
      for (const [model, counts] of Object.entries(byModel)) {
        const labels = { cache, 'gen_ai.request.model': model }
        for (const [name, outcome] of requests) {
          result.observe(counters.requests, counts[name], { ...labels, outcome })
        }
        result.observe(counters.tokens, counts.tokensSaved, labels)
        result.observe(counters.money, counts.moneySaved, labels)
        result.observe(counters.errors, counts.errors, labels)
        result.observe(counters.stored, counts.stored, labels)
      }
      const now = held()
      result.observe(entries, now.entries, { cache })
      result.observe(bytes, now.bytes, { cache })
      result.observe(ratio, hitRate, { cache })
    }
    meter.addBatchObservableCallback(observe, observed)
    this.#stop = () => meter.removeBatchObservableCallback(observe, observed)
  }
}
