export interface Document {
  readonly key: string
  /** Rises from document to document of a store, in the order in which they were made. */
  readonly number: number
  readonly createdAt: number
  readonly updatedAt: number
  /** As JSON. */
  readonly json: string
}

/** Where documents live, by namespace: a path of labels. */
export interface DocumentStore {
  get(namespace: readonly string[], key: string): Promise<Document | undefined>
  /** Writes documents of one namespace in one step; `undefined` removes one. */
  put(namespace: readonly string[], documents: ReadonlyMap<string, string | undefined>): Promise<void>
  all(namespace: readonly string[]): Promise<readonly Document[]>
  /** Namespaces that begin with a path, compared by whole labels. */
  namespaces(prefix: readonly string[]): Promise<readonly (readonly string[])[]>
}

export function nameOf(namespace: readonly string[]): string {
  return namespace.map((label) => `${encodeURIComponent(label)}/`).join('')
}

export function documentOf(key: string, stored: string): Document {
  const [created = '', number = '', updated = ''] = stored.split(' ', 3)
  const json = stored.slice(created.length + number.length + updated.length + 3)
  return { key, number: Number(number), createdAt: Number(created), updatedAt: Number(updated), json }
}
