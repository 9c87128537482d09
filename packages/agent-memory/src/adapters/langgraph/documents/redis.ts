import type { Connection } from '@evenkeel/core'
import { createKeyspace, defineScript, type Keyspace } from '@evenkeel/core/kit'
import putLua from '../../../scripts/documents/put.lua'
import { asList } from '../../../stores/replies.js'
import { type Document, type DocumentStore, documentOf, nameOf } from './port.js'

const putScript = defineScript({ name: 'agent-memory.document-put', lua: putLua })

/** Documents of all instances: one hash for each namespace, all on one node. */
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
    const keys = [this.#hash(namespace), this.#index(), this.#keys.key(this.#name, 's')]
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
    // Every label ends with a slash, so that a prefix consists of whole labels; '0' is the character after '/'.
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
