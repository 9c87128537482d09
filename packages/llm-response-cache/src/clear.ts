import { checkSubject } from '@evenkeel/core/kit'
import { checkTags } from './call-options.js'
import type { Entry } from './entry/entry.js'
import type { CacheContext } from './lookup/create-context.js'

/** What to forget; nothing but a tenant for all of it. */
export interface Clear {
  /** @default the cache's */
  readonly tenant?: string | undefined
  /** Answers of this model. */
  readonly model?: string | undefined
  /** Answers with this tag. */
  readonly tag?: string | undefined
  /** A glob over names (`*`, `?`, `[…]`), such as `llm_response:*:gpt-4o:*`. */
  readonly pattern?: string | undefined
}

/** How many were forgotten; `undefined` for a whole tenant, which is forgotten without counting it. */
export type ClearResult = number | undefined

/**
 * A whole tenant by a new version, in O(1). What is named by a tag is a miss at once, by its version, and then
 * counted and removed as what is named by a model or a pattern: by walking the names of the tenant, which
 * takes as long as the database is large, without ever blocking it.
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
  // What is under way with a tag is over by its version.
  return tiers.sweep(tenant, { pattern: pattern ?? '*', model, isDoomed: versions && isOld })
}
