import type { Entry } from '../entry/entry.js'
import type { EntryStore } from '../stores/port.js'
import type { Sweep } from './invalidation.js'

/** What a sweep deletes. */
export interface SweepOptions extends Sweep {
  /** Of these, the entries that are so, and nothing that is under way. @default all */
  readonly isDoomed?: ((entry: Entry) => boolean) | undefined
}

/** Those of a page of names that a sweep deletes. One round trip, and none where a name alone decides. */
export async function doomedOf(
  entries: EntryStore,
  tenant: string,
  page: readonly string[],
  { model, isDoomed }: SweepOptions,
): Promise<readonly string[]> {
  if (model === undefined && isDoomed === undefined) return page
  const readings = await Promise.all(page.map((name) => entries.read({ tenant, name }, [])))
  return page.filter((_, index) => {
    const entry = readings[index]?.entry
    if (entry === undefined || (model !== undefined && entry.model !== model)) return false
    return isDoomed?.(entry) !== false
  })
}
