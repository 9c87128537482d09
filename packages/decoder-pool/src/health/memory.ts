import type { Clock } from '@evenkeel/core'
import { systemClock } from '@evenkeel/core/kit'
import type { HealthStore, HealthWord, SharedVerdicts, Verdict } from './port.js'

interface Told {
  readonly by: string
  readonly node: string
  readonly healthy: boolean
  readonly since: number
  readonly at: number
  readonly mark: number
}

export interface MemoryHealthStoreOptions {
  readonly clock?: Clock | undefined
}

/** Verdicts and permits in one process. Without Redis, and in an outage, each coordinator has its own store. */
export class MemoryHealthStore implements HealthStore {
  readonly #clock: Clock
  readonly #told = new Map<string, Told>()
  readonly #probers = new Map<string, { readonly region: string | undefined; readonly until: number }>()
  readonly #trials = new Map<string, { readonly by: string; readonly until: number }>()

  constructor({ clock = systemClock }: MemoryHealthStoreOptions = {}) {
    this.#clock = clock
  }

  async share(word: HealthWord, mark?: number): Promise<SharedVerdicts> {
    const { by, region, aliveMs, keepMs, verdicts } = word
    const now = Math.floor(this.#clock.monotonic())
    let newest = [...this.#told.values()].reduce((most, told) => Math.max(most, told.mark), 0)
    // A mark above all that exist is from before a loss of the data.
    const since = mark !== undefined && mark <= newest ? mark : undefined
    for (const { node, healthy, forMs } of verdicts) {
      newest = Math.max(newest + 1, now * 1_000)
      const told = { by, node, healthy, since: now - Math.floor(forMs), at: now, mark: newest }
      this.#told.set(`${by}\n${node}`, told)
    }
    if (aliveMs > 0) this.#probers.set(by, { region, until: now + aliveMs })
    else this.#probers.delete(by)
    for (const [id, { until }] of this.#probers) if (until < now) this.#probers.delete(id)
    for (const [key, { at }] of this.#told) if (now - at > keepMs) this.#told.delete(key)
    const others = [...this.#told.values()].filter(
      (told) => told.by !== by && (since === undefined || told.mark > since),
    )
    return {
      mark: newest,
      complete: since === undefined,
      probers: [...this.#probers].map(([id, prober]) => ({ id, region: prober.region })),
      verdicts: others.map(
        ({ node, healthy, since: from, at, by: teller }): Verdict => ({
          node,
          healthy,
          by: teller,
          forMs: now - from,
          toldMs: now - at,
        }),
      ),
    }
  }

  async leave(by: string): Promise<void> {
    this.#probers.delete(by)
    for (const [key, told] of this.#told) if (told.by === by) this.#told.delete(key)
  }

  async takeTrial(node: string, by: string, ttlMs: number): Promise<boolean> {
    const now = this.#clock.monotonic()
    for (const [id, { until }] of this.#trials) if (until <= now) this.#trials.delete(id)
    const held = this.#trials.get(node)
    if (held !== undefined && held.by !== by) return false
    this.#trials.set(node, { by, until: now + ttlMs })
    return true
  }

  async giveTrial(node: string, by: string): Promise<void> {
    if (this.#trials.get(node)?.by === by) this.#trials.delete(node)
  }
}
