/** Where an entry lives: a tenant's namespace, and a name within it. */
export interface Place {
  readonly namespace: string
  readonly name: string
}

/** One text for a place. The length keeps apart what would be one text otherwise. */
export function placeId({ namespace, name }: Place): string {
  return placePrefix(namespace) + name
}

/** How the texts of all places of a namespace begin. */
export function placePrefix(namespace: string): string {
  return `${namespace.length}:${namespace}`
}
