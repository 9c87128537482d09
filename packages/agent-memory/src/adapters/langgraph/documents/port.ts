import { type Connection, createKeyspace, defineScript, type Keyspace } from '@evenkeel/core'
import putLua from '../../../scripts/documents/put.lua'
import { asList } from '../../../stores/replies.js'

const putScript = defineScript({ name: 'agent-memory.document-put', lua: putLua })

export interface Document {
  readonly key: string
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
  /** Namespaces that begin with a path: label by label, never a part of one. */
  namespaces(prefix: readonly string[]): Promise<readonly (readonly string[])[]>
}

/** Documents of all instances: a hash a namespace, all on one node. */
export class RedisDocuments implements DocumentStore {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #name: string

  constructor(redis: Connection, name: string) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, 'agent-memory.documents')
    this.#name = name
  }

  async get(namespace: readonly string[], key: string): Promise<Document | undefined> {
    const hash = this.#hash(namespace)
    const stored = await this.#redis.command(['HGET', hash, encodeURIComponent(key)], { key: hash })
    return stored === null ? undefined : documentOf(key, String(stored))
  }

  async put(namespace: readonly string[], documents: ReadonlyMap<string, string | undefined>): Promise<void> {
    const pairs = [...documents].flatMap(([key, json]) => [
      encodeURIComponent(key),
      json === undefined ? '-' : `+${json}`,
    ])
    const keys = [this.#hash(namespace), this.#index()]
    await this.#redis.run(putScript, keys, [nameOf(namespace), ...pairs])
  }

  async all(namespace: readonly string[]): Promise<readonly Document[]> {
    const hash = this.#hash(namespace)
    const flat = asList(await this.#redis.command(['HGETALL', hash], { key: hash })).map(String)
    const documents: Document[] = []
    for (let index = 0; index < flat.length; index += 2) {
      documents.push(documentOf(decodeURIComponent(flat[index] ?? ''), flat[index + 1] ?? ''))
    }
    return documents
  }

  async namespaces(prefix: readonly string[]): Promise<readonly (readonly string[])[]> {
    const index = this.#index()
    // Every label ends with a slash, so that a prefix is one of whole labels; 0 comes next to it.
    const from = nameOf(prefix)
    const range = prefix.length === 0 ? ['-', '+'] : [`[${from}`, `(${from.slice(0, -1)}0`]
    const names = asList(await this.#redis.command(['ZRANGEBYLEX', index, ...range], { key: index }))
    return names.map((name) => String(name).slice(0, -1).split('/').map(decodeURIComponent))
  }

  #hash(namespace: readonly string[]): string {
    return this.#keys.key(this.#name, 'd', nameOf(namespace))
  }

  #index(): string {
    return this.#keys.key(this.#name, 'n')
  }
}

/** Documents in this process, with no bound but memory's: they are the application's own data. */
export class MemoryDocuments implements DocumentStore {
  readonly #namespaces = new Map<
    string,
    { readonly path: readonly string[]; documents: Map<string, Document> }
  >()

  async get(namespace: readonly string[], key: string): Promise<Document | undefined> {
    return this.#namespaces.get(nameOf(namespace))?.documents.get(key)
  }

  async put(path: readonly string[], changes: ReadonlyMap<string, string | undefined>): Promise<void> {
    const { documents } = this.#namespaces.get(nameOf(path)) ?? { documents: new Map<string, Document>() }
    const now = Date.now()
    for (const [key, json] of changes) {
      if (json === undefined) documents.delete(key)
      else documents.set(key, { key, json, createdAt: documents.get(key)?.createdAt ?? now, updatedAt: now })
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

function nameOf(namespace: readonly string[]): string {
  return namespace.map((label) => `${encodeURIComponent(label)}/`).join('')
}

function documentOf(key: string, stored: string): Document {
  const [created = '', updated = ''] = stored.split(' ', 2)
  const json = stored.slice(created.length + updated.length + 2)
  return { key, createdAt: Number(created), updatedAt: Number(updated), json }
}
