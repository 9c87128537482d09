import { type Document, type DocumentStore, nameOf } from './port.js'

/** Documents in this process, with no bound but memory's: they are the application's own data. */
export class MemoryDocuments implements DocumentStore {
  readonly #namespaces = new Map<
    string,
    { readonly path: readonly string[]; documents: Map<string, Document> }
  >()

  #latest = 0

  async get(namespace: readonly string[], key: string): Promise<Document | undefined> {
    return this.#namespaces.get(nameOf(namespace))?.documents.get(key)
  }

  async put(path: readonly string[], changes: ReadonlyMap<string, string | undefined>): Promise<void> {
    const { documents } = this.#namespaces.get(nameOf(path)) ?? { documents: new Map<string, Document>() }
    const now = Date.now()
    for (const [key, json] of changes) {
      if (json === undefined) documents.delete(key)
      else {
        const { createdAt = now, number = ++this.#latest } = documents.get(key) ?? {}
        documents.set(key, { key, number, json, createdAt, updatedAt: now })
      }
    }
    if (documents.size > 0) this.#namespaces.set(nameOf(path), { path: [...path], documents })
    else this.#namespaces.delete(nameOf(path))
  }

  async all(namespace: readonly string[]): Promise<readonly Document[]> {
    return [...(this.#namespaces.get(nameOf(namespace))?.documents.values() ?? [])]
  }

  async namespaces(prefix: readonly string[]): Promise<readonly (readonly string[])[]> {
    const found = [...this.#namespaces].filter(([name]) => name.startsWith(nameOf(prefix)))
    return found.map(([, { path }]) => path)
  }
}
