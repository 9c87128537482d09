import { checkSubject } from '@evenkeel/core'
import { checkTags } from './call-options.js'
import type { EngineParts } from './lookup/create-context.js'

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
 * A whole namespace by a new stamp, in O(1). What is named by a tag is a miss at once, by its stamp, and then
 * counted and removed as what is named by a model or a pattern: by walking the names of the namespace, which
 * takes as long as the database is large, without ever blocking it.
 */
export async function clearing(
  { vault, options }: EngineParts,
  { namespace = options.policy.namespace, model, tag, pattern }: Clear,
): Promise<ClearResult> {
  checkSubject('namespace', namespace, 256)
  if (model !== undefined) checkSubject('model', model)
  if (pattern !== undefined) checkSubject('pattern', pattern)
  const [stampName] = tag === undefined ? [] : vault.stampNames(namespace, checkTags([tag]))
  if (model === undefined && tag === undefined && pattern === undefined) {
    await vault.restamp(namespace, [''])
    return undefined
  }
  const stamps = stampName === undefined ? undefined : await vault.restamp(namespace, [stampName])
  const old = (entry: { readonly stamps: readonly { readonly name: string; readonly value: string }[] }) =>
    stamps === undefined ||
    entry.stamps.some(({ name, value }) => name === stampName && value !== stamps.get(name))
  const isOfModel = (own: string) => model === undefined || own === model
  const isByName = model === undefined && stamps === undefined
  return vault.sweep(
    namespace,
    pattern ?? '*',
    isByName ? undefined : (entry) => old(entry) && isOfModel(entry.model),
  )
}
