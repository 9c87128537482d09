import type { Experiment, ExperimentRecord } from './experiment.js'

export type PutOutcome =
  | 'put'
  /** Something newer is known; nothing was changed. */
  | 'stale'
  /** Another active one is about the same language pair; nothing was changed. */
  | 'overlap'
  | 'full'

/**
 * Where experiments live. Each operation is one atomic step and one round trip, and may be repeated: a change has a
 * revision, and the newest of each experiment stays.
 */
export interface ExperimentStore {
  /** Adds or changes an experiment. Without a revision, the change is newer than all that is known. */
  put(
    experiment: Experiment,
    revision?: number,
  ): Promise<{ readonly outcome: PutOutcome; readonly revision: number }>
  /** Removes an experiment, and remembers the removal. Returns whether there was one. */
  remove(id: string, revision?: number): Promise<{ readonly removed: boolean; readonly revision: number }>
  /** All, removals included. */
  list(): Promise<readonly ExperimentRecord[]>
}
