import type { Experiment } from '../experiments/experiment.js'
import type { DecoderNode } from '../nodes/node.js'
import type { FileContent } from './content.js'

/** What an edit of the file changes. */
export interface Edit {
  readonly putNodes: readonly DecoderNode[]
  readonly removeNodes: readonly string[]
  readonly putExperiments: readonly Experiment[]
  readonly removeExperiments: readonly string[]
}

/**
 * Compares with what the file contained before the edit, not with the pool as it is now: a node that joined meanwhile
 * is missing in the edited file too, but the editor did not mean to remove it.
 */
export function editOf(before: FileContent, after: FileContent): Edit {
  const nodes = changesOf(
    before.registrations.map(({ node }) => node),
    after.registrations.map(({ node }) => node),
  )
  const experiments = changesOf(experimentsIn(before), experimentsIn(after))
  return {
    putNodes: nodes.put,
    removeNodes: nodes.remove,
    putExperiments: experiments.put,
    removeExperiments: experiments.remove,
  }
}

function changesOf<T extends { readonly id: string }>(before: readonly T[], after: readonly T[]) {
  const former = new Map(before.map((one) => [one.id, JSON.stringify(one)]))
  const put = after.filter((one) => former.get(one.id) !== JSON.stringify(one))
  for (const { id } of after) former.delete(id)
  return { put, remove: [...former.keys()] }
}

function experimentsIn({ experiments }: FileContent): readonly Experiment[] {
  return experiments.map(({ experiment }) => experiment).filter((experiment) => experiment !== undefined)
}
