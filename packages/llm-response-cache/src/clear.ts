import { checkSubject } from '@evenkeel/core'
import { checkTags } from './call-options.js'
import type { CacheContext } from './lookup/create-context.js'

/** What to forget; nothing but a namespace for all of it. */
export interface Clear {
  /** @default the cache's */
  readonly namespace?: string | undefined
  /** Answers of this model. */
  readonly model?: string | undefined
  /** Answers with this tag. */
  readonly tag?: string | undefined
  /** A glob over names (`*`, `?`, `[…]`), such as `llm_response:*:gpt-4o:*`. */
  readonly pattern?: string | undefined
}

/** How many were forgotten; `undefined` for a whole namespace, which is forgotten without counting it. */
export type ClearResult = number | undefined

/**
 * A whole namespace by a new version, in O(1). What is named by a tag is a miss at once, by its version, and then
 * counted and removed as what is named by a model or a pattern: by walking the names of the namespace, which
 * takes as long as the database is large, without ever blocking it.
 */
export async function clearing(
  { tiers, options }: CacheContext,
  { namespace = options.policy.namespace, model, tag, pattern }: Clear,
): Promise<ClearResult> {
  checkSubject('namespace', namespace, 256)
  if (model !== undefined) checkSubject('model', model)
  if (pattern !== undefined) checkSubject('pattern', pattern)
  const [versionName] = tag === undefined ? [] : tiers.versionNames(namespace, checkTags([tag]))
  if (model === undefined && tag === undefined && pattern === undefined) {
    await tiers.invalidate(namespace, [''])
    return undefined
  }
  const versions = versionName === undefined ? undefined : await tiers.invalidate(namespace, [versionName])
  const old = (entry: { readonly versions: readonly { readonly name: string; readonly value: string }[] }) =>
    versions === undefined ||
    entry.versions.some(({ name, value }) => name === versionName && value !== versions.get(name))
  const isOfModel = (own: string) => model === undefined || own === model
  const isByName = model === undefined && versions === undefined
  return tiers.sweep(
    namespace,
    pattern ?? '*',
    isByName ? undefined : (entry) => old(entry) && isOfModel(entry.model),
  )
}
