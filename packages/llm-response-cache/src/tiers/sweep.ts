import type { Entry } from '../entry/entry.js'
import type { EntryStore } from '../stores/port.js'
import type { Sweep } from './invalidation.js'

/** What a sweep deletes. */
export interface SweepOptions extends Sweep {
  /** Deletes only entries for which it returns true, and leaves calls under way alone. @default deletes all */
  readonly isDoomed?: ((entry: Entry) => boolean) | undefined
}

/** The names of a page that a sweep deletes. One round trip, or none if the name alone decides. */
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
