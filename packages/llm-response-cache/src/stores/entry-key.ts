/** Identifies an entry: its tenant, and its name within the tenant. */
export interface EntryKey {
  readonly tenant: string
  readonly name: string
}

/** A key as one text. The length of the tenant keeps keys apart whose texts would otherwise be equal. */
export function entryKeyId({ tenant, name }: EntryKey): string {
  return entryKeyPrefix(tenant) + name
}

/** The beginning of the texts of all keys of a tenant. */
export function entryKeyPrefix(tenant: string): string {
  return `${tenant.length}:${tenant}`
}
