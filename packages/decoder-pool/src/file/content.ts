import type { ExperimentRecord } from '../experiments/experiment.js'
import type { RegistryDelta } from '../registry/port.js'

/** What a coordinator knows, as the file keeps it. */
export interface FileContent extends RegistryDelta {
  readonly experiments: readonly ExperimentRecord[]
  /** Members that this release does not know, from a newer release or an editor. They are kept. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined
}

export const nothing: FileContent = { registrations: [], removed: new Map(), experiments: [] }
