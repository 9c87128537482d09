import { InvalidInputError } from '@evenkeel/core'
import { checkSubject } from '@evenkeel/core/kit'

/** What a caller wants of a node. */
export interface NodeRequirements {
  readonly model?: string | undefined
  /** All of them. */
  readonly tags?: readonly string[] | undefined
  /** Nodes that have it loaded are preferred, unless they are busier than others by more than `adapterMargin`. */
  readonly adapter?: string | undefined
  /** Its nodes are preferred, others are spilled over to. @default the coordinator's own */
  readonly region?: string | undefined
  /** Requests of one key go to one node, under `consistent-hash` and, without a prefix, `prefix`. */
  readonly sessionKey?: string | undefined
  /** Hashes of the prompt's blocks, from its beginning, each over all before it; for `prefix`. At most 4,096. */
  readonly prefix?: readonly (string | number)[] | undefined
}

/** A request that may have a part in an experiment. */
export interface ExperimentUnit {
  /** With `unit`: an active experiment about this pair chooses among nodes by their tags. */
  readonly languagePair?: string | undefined
  /** Whom the experiment keeps in one arm: a user, a session. Without it a request takes part in none. */
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
 * The same for callers of whom all or none can be served; a session or a prefix only chooses among those. The same
 * in all coordinators, and without spaces.
 */
export function requirementKey({ model, tags, adapter, region }: NodeRequirements): string {
  return encodeURIComponent([model, adapter, region, ...(tags ?? [])].map((part) => part ?? '').join('\n'))
}
