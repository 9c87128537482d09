import { InvalidInputError } from '@evenkeel/core'
import { checkSubject } from '@evenkeel/core/kit'

/** What a request requires of a node. */
export interface NodeRequirements {
  readonly model?: string | undefined
  /** Tags that the node must have, all of them. */
  readonly tags?: readonly string[] | undefined
  /** Nodes that have this adapter loaded are preferred, unless they are busier by more than `adapterMargin`. */
  readonly adapter?: string | undefined
  /** Nodes of this region are preferred; if they are full, others are used. @default the coordinator's own */
  readonly region?: string | undefined
  /** Requests with the same key go to the same node, under `consistent-hash` and, without a prefix, `prefix`. */
  readonly sessionKey?: string | undefined
  /** Hashes of the prompt's blocks, from `promptBlocks`: each over all text before it. For `prefix`. At most 4,096. */
  readonly prefix?: readonly (string | number)[] | undefined
}

/** A request that may take part in an experiment. */
export interface ExperimentUnit {
  /** With `unit`: an active experiment for this language pair chooses the nodes by their tags. */
  readonly languagePair?: string | undefined
  /** A user or session that an experiment keeps in one arm. Without it, a request takes part in no experiment. */
  readonly unit?: string | undefined
}

const maxBlocks = 4_096

/** @throws INVALID_INPUT that names the field */
export function checkRequirements(wanted: NodeRequirements): void {
  const { model, tags, adapter, region, sessionKey, prefix } = wanted
  for (const [field, value] of Object.entries({ model, adapter, region, sessionKey })) {
    if (value !== undefined) checkSubject(field, value)
  }
  if (tags !== undefined && (!Array.isArray(tags) || tags.some((tag) => typeof tag !== 'string'))) {
    throw new InvalidInputError('tags', 'a list of texts', tags)
  }
  if (prefix !== undefined && (!Array.isArray(prefix) || prefix.length > maxBlocks)) {
    throw new InvalidInputError('prefix', `a list of at most ${maxBlocks} hashes`, prefix)
  }
}

/**
 * Key of requests that the same nodes can serve; a session or a prefix only chooses among those. It is the same in all
 * coordinators, and has no spaces.
 */
export function requirementKey({ model, tags, adapter, region }: NodeRequirements): string {
  return encodeURIComponent([model, adapter, region, ...(tags ?? [])].map((part) => part ?? '').join('\n'))
}
