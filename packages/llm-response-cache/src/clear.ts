import { checkSubject } from '@evenkeel/core/kit'
import { checkTags } from './call-options.js'
import type { Entry } from './entry/entry.js'
import type { CacheContext } from './lookup/create-context.js'

/** Which entries to delete; without a model, tag or pattern, all entries of the tenant. */
export interface Clear {
  /** @default the cache's */
  readonly tenant?: string | undefined
  /** Deletes answers of this model. */
  readonly model?: string | undefined
  /** Deletes answers with this tag. */
  readonly tag?: string | undefined
  /** Deletes entries whose name matches this glob (`*`, `?`, `[…]`), such as `llm_response:*:gpt-4o:*`. */
  readonly pattern?: string | undefined
}

/** Number of deleted entries; `undefined` for a whole tenant, which is invalidated without counting. */
export type ClearResult = number | undefined

/**
 * A whole tenant is invalidated by a new version, in O(1). Entries with a tag become misses at once, by the tag's
 * version, and are then deleted and counted like those of a model or a pattern: by walking the names of the tenant.
 * The walk takes longer the larger the database is, but never blocks it.
 */
export async function clearing(
  { tiers, options }: CacheContext,
  { tenant = options.policy.tenant, model, tag, pattern }: Clear,
): Promise<ClearResult> {
  checkSubject('tenant', tenant, 256)
  if (model !== undefined) checkSubject('model', model)
  if (pattern !== undefined) checkSubject('pattern', pattern)
  const [versionName] = tag === undefined ? [] : tiers.versionNames(tenant, checkTags([tag]))
  if (model === undefined && tag === undefined && pattern === undefined) {
    await tiers.invalidate(tenant, [''])
    return undefined
  }
  const versions = versionName === undefined ? undefined : await tiers.invalidate(tenant, [versionName])
  const isOld = ({ versions: own }: Entry) =>
    own.some(({ name, value }) => name === versionName && value !== versions?.get(name))
  // The new version of the tag also ends calls under way with it.
  return tiers.sweep(tenant, { pattern: pattern ?? '*', model, isDoomed: versions && isOld })
}
