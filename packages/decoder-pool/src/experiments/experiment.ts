import { InvalidInputError } from '@evenkeel/core'
import { checkSubject } from '@evenkeel/core/kit'

/** Sends a part of one language pair's requests to other nodes, to compare them. */
export interface Experiment {
  readonly id: string
  /** Language pair of the requests, such as `en-de`. */
  readonly languagePair: string
  /** Percentage of units (users, sessions) that take part, 0 to 100. */
  readonly trafficPercentage: number
  /** Units that take part are served by nodes with all of these tags. */
  readonly experimentTags: readonly string[]
  /** Other units are served by nodes with all of these tags; empty for any node. */
  readonly controlTags: readonly string[]
  readonly active: boolean
  /** A different salt assigns all units again, independently of before. */
  readonly salt: string
}

export type ExperimentInput = Omit<Experiment, 'controlTags' | 'active' | 'salt'> & {
  /** @default none: any node */
  readonly controlTags?: readonly string[] | undefined
  /** @default true */
  readonly active?: boolean | undefined
  /** @default '' */
  readonly salt?: string | undefined
}

/** An experiment in the registry, or its removal. Of two records, the one with the higher revision is newer. */
export interface ExperimentRecord {
  readonly id: string
  readonly revision: number
  /** `undefined` for a removal. */
  readonly experiment: Experiment | undefined
}

export const maxExperiments = 1_000

const otherNames: Readonly<Record<string, string>> = {
  language_pair: 'languagePair',
  traffic_percentage: 'trafficPercentage',
  experiment_group_tags: 'experimentTags',
  control_group_tags: 'controlTags',
  is_active: 'active',
  experiment_id: 'id',
}

/** Reads an experiment from a body, with our names of fields or those of other registries. */
export function experimentInputOf(body: unknown): ExperimentInput {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidInputError('body', 'an object', body)
  }
  const fields = Object.fromEntries(
    Object.entries(body).map(([name, value]) => [otherNames[name] ?? name, value]),
  )
  // If it has a name but no id, the name is its id.
  const { name, ...rest } = fields
  return (rest.id === undefined && name !== undefined
    ? { ...rest, id: name }
    : rest) as unknown as ExperimentInput
}

/** @throws INVALID_INPUT that names the field */
export function checkExperiment(input: ExperimentInput): Experiment {
  if (typeof input !== 'object' || input === null)
    throw new InvalidInputError('experiment', 'an experiment', input)
  const { trafficPercentage, active = true, salt = '' } = input
  const isShare = typeof trafficPercentage === 'number' && trafficPercentage >= 0 && trafficPercentage <= 100
  if (!isShare) throw new InvalidInputError('trafficPercentage', 'a number from 0 to 100', trafficPercentage)
  if (typeof active !== 'boolean') throw new InvalidInputError('active', 'true or false', active)
  if (typeof salt !== 'string' || salt.length > 256) throw new InvalidInputError('salt', 'a short text', salt)
  const experimentTags = tagsOf('experimentTags', input.experimentTags)
  if (experimentTags.length === 0) throw new InvalidInputError('experimentTags', 'one tag or more', [])
  return {
    id: checkSubject('id', input.id, 256),
    languagePair: checkSubject('languagePair', input.languagePair, 256),
    trafficPercentage,
    experimentTags,
    controlTags: tagsOf('controlTags', input.controlTags ?? []),
    active,
    salt,
  }
}

function tagsOf(field: string, tags: unknown): readonly string[] {
  if (!Array.isArray(tags) || tags.length > 64 || tags.some((tag) => typeof tag !== 'string' || tag === '')) {
    throw new InvalidInputError(field, 'a list of at most 64 texts', tags)
  }
  return [...new Set(tags as string[])].sort()
}
