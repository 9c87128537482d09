/** Where an entry lives: a tenant's tenant, and a name within it. */
export interface EntryKey {
  readonly tenant: string
  readonly name: string
}

/** One text for a place. The length keeps apart what would be one text otherwise. */
export function entryKeyId({ tenant, name }: EntryKey): string {
  return entryKeyPrefix(tenant) + name
}

/** How the texts of all places of a tenant begin. */
export function entryKeyPrefix(tenant: string): string {
  return `${tenant.length}:${tenant}`
}
