import type { ExperimentRecord } from '../experiments/experiment.js'
import type { Changes } from '../registry/port.js'

/** What a coordinator knows, as the file keeps it. */
export interface MirrorContent extends Changes {
  readonly experiments: readonly ExperimentRecord[]
}

export const nothing: MirrorContent = { registrations: [], removed: new Map(), experiments: [] }
