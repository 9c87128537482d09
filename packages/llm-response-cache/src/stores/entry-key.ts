/** Where an entry lives: a tenant's namespace, and a name within it. */
export interface EntryKey {
  readonly namespace: string
  readonly name: string
}

/** One text for a place. The length keeps apart what would be one text otherwise. */
export function entryKeyId({ namespace, name }: EntryKey): string {
  return entryKeyPrefix(namespace) + name
}

/** How the texts of all places of a namespace begin. */
export function entryKeyPrefix(namespace: string): string {
  return `${namespace.length}:${namespace}`
}
