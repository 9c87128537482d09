import type { Clock } from '@evenkeel/core'
import { systemClock } from '@evenkeel/core/kit'
import { type Experiment, type ExperimentRecord, maxExperiments } from './experiment.js'
import type { ExperimentStore, PutOutcome } from './port.js'

export class MemoryExperimentStore implements ExperimentStore {
  readonly #clock: Clock
  readonly #records = new Map<string, ExperimentRecord>()

  constructor({ clock = systemClock }: { readonly clock?: Clock | undefined } = {}) {
    this.#clock = clock
  }

  async put(experiment: Experiment, given?: number): Promise<{ outcome: PutOutcome; revision: number }> {
    const { id } = experiment
    const known = this.#records.get(id)
    const revision = given ?? this.#next(known)
    const keeps = { outcome: 'stale' as PutOutcome, revision: known?.revision ?? 0 }
    if (known !== undefined && revision <= known.revision) return keeps
    if (experiment.active && this.#overlaps(experiment)) return { ...keeps, outcome: 'overlap' }
    if (known === undefined && this.#records.size >= maxExperiments) return { ...keeps, outcome: 'full' }
    this.#records.set(id, { id, revision, experiment })
    return { outcome: 'put', revision }
  }

  async remove(id: string, given?: number): Promise<{ removed: boolean; revision: number }> {
    const known = this.#records.get(id)
    const revision = given ?? this.#next(known)
    const isKnown = known?.experiment !== undefined
    if ((given === undefined && !isKnown) || (known !== undefined && revision <= known.revision)) {
      return { removed: false, revision: known?.revision ?? 0 }
    }
    this.#records.set(id, { id, revision, experiment: undefined })
    return { removed: isKnown, revision }
  }

  async list(): Promise<readonly ExperimentRecord[]> {
    return this.known()
  }

  known(): readonly ExperimentRecord[] {
    return [...this.#records.values()]
  }

  /** Takes a record of another store if it is newer, even if it overlaps with another experiment. */
  take({ id, revision, experiment }: ExperimentRecord): boolean {
    if (revision <= (this.#records.get(id)?.revision ?? 0)) return false
    this.#records.set(id, { id, revision, experiment })
    return true
  }

  #overlaps({ id, languagePair }: Experiment): boolean {
    return this.known().some(
      ({ experiment }) =>
        experiment?.active && experiment.id !== id && experiment.languagePair === languagePair,
    )
  }

  /** Microseconds since 1970, and always more than the one before. */
  #next(known: ExperimentRecord | undefined): number {
    return Math.max((known?.revision ?? 0) + 1, Math.floor(this.#clock.now() * 1_000))
  }
}
