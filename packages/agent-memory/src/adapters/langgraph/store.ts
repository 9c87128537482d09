import { type Connection, InvalidInputError, type TelemetryOptions } from '@evenkeel/core'
import {
  checkSubject,
  cosine,
  createSpans,
  option,
  packVector,
  resolveTelemetry,
  traceMethods,
  unpackVector,
} from '@evenkeel/core/kit'
import {
  BaseStore,
  type GetOperation,
  getTextAtPath,
  type IndexConfig,
  type Item,
  type ListNamespacesOperation,
  type MatchCondition,
  type Operation,
  type OperationResults,
  type PutOperation,
  type SearchItem,
  type SearchOperation,
} from '@langchain/langgraph-checkpoint'
import { fromJson, toJson } from '../../messages/json.js'
import { MemoryDocuments } from './documents/memory.js'
import type { Document, DocumentStore } from './documents/port.js'
import { RedisDocuments } from './documents/redis.js'

export interface LangGraphStoreOptions {
  /** Where items live, a Redis without modules; left out, they live in this process alone. */
  readonly redis?: Connection | undefined
  /** Keeps apart stores that share a Redis. One store is on one node of a Cluster. @default 'default' */
  readonly name?: string | undefined
  /** Search by meaning: exact, over the items that a search's prefix and filter leave. */
  readonly index?: IndexConfig | undefined
  /** A span a batch of operations with `spans: true`. @default no spans */
  readonly telemetry?: boolean | TelemetryOptions | undefined
}

/**
 * A long-term store of LangGraph. Namespaces are paths of whole labels: `['a']` never reaches `['ab']`, and
 * no two paths share a key. Items, and what is needed to search them, are written in one step.
 */
export function createLangGraphStore(options: LangGraphStoreOptions = {}): BaseStore {
  option.members('', options, { redis: true, name: true, index: true, telemetry: true })
  const { redis, name = 'default', index } = options
  const documents =
    redis === undefined ? new MemoryDocuments() : new RedisDocuments(redis, checkSubject('name', name))
  const spans = createSpans('@evenkeel/agent-memory', resolveTelemetry(options.telemetry ?? false))
  return traceMethods(spans, new Store(documents, index), { batch: 'agent_memory store.batch' })
}

interface Stored {
  readonly value: Record<string, unknown>
  /** Vectors of the item's texts: their 32-bit numbers, little-endian, in base64. */
  readonly vectors?: readonly string[]
}

interface Found {
  readonly item: Item
  /** In the order in which items were made. */
  readonly number: number
  readonly vectors: readonly string[]
}

class Store extends BaseStore {
  readonly #documents: DocumentStore
  readonly #index: IndexConfig | undefined

  constructor(documents: DocumentStore, index: IndexConfig | undefined) {
    super()
    this.#documents = documents
    this.#index = index
  }

  /** Reads see what was there before the batch; of several writes of one item the last counts. */
  async batch<Op extends Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    const results = await Promise.all(operations.map((operation) => this.#read(operation)))
    const puts = operations.filter(isPut)
    const byNamespace = new Map<string, PutOperation[]>()
    for (const put of puts) {
      const name = JSON.stringify(put.namespace)
      byNamespace.set(name, [...(byNamespace.get(name) ?? []), put])
    }
    await Promise.all([...byNamespace.values()].map((own) => this.#put(own)))
    return results as OperationResults<Op>
  }

  async #read(operation: Operation): Promise<unknown> {
    if (isPut(operation)) return undefined
    if ('namespacePrefix' in operation) return this.#search(operation)
    if ('key' in operation) return this.#get(operation)
    return this.#list(operation)
  }

  async #get({ namespace, key }: GetOperation): Promise<Item | null> {
    const document = await this.#documents.get(pathOf(namespace), checkSubject('key', key))
    return document === undefined ? null : foundOf(namespace, document).item
  }

  async #put(puts: readonly PutOperation[]): Promise<void> {
    const [first] = puts
    if (first === undefined) return
    const documents = new Map<string, string | undefined>()
    const latest = new Map(puts.map((put) => [put.key, put]))
    await Promise.all(
      [...latest].map(async ([key, put]) => {
        const vectors = put.value === null ? [] : await this.#vectorsOf(put.value, put.index)
        const stored: Stored | undefined =
          put.value === null ? undefined : { value: put.value, ...(vectors.length > 0 && { vectors }) }
        documents.set(checkSubject('key', key), stored && toJson('item', stored))
      }),
    )
    await this.#documents.put(pathOf(first.namespace), documents)
  }

  async #search(operation: SearchOperation): Promise<SearchItem[]> {
    const { namespacePrefix, filter = {}, limit = 10, offset = 0, query } = operation
    const namespaces = await this.#documents.namespaces(pathOf(namespacePrefix))
    const found = await Promise.all(
      namespaces.map(async (namespace) =>
        (await this.#documents.all(namespace)).map((document) => foundOf(namespace, document)),
      ),
    )
    const fitting = found.flat().filter(({ item }) => fits(item.value, filter))
    if (query === undefined || this.#index === undefined) {
      fitting.sort((one, other) => one.number - other.number)
      return fitting.slice(offset, offset + limit).map(({ item }) => ({ ...item }))
    }
    const asked = Float32Array.from(await this.#index.embeddings.embedQuery(query))
    const scored = fitting.map(({ item, vectors }) => ({
      ...item,
      score: Math.max(
        ...vectors.map((vector) => cosine(asked, unpackVector(Buffer.from(vector, 'base64')))),
        Number.NEGATIVE_INFINITY,
      ),
    }))
    scored.sort((one, other) => other.score - one.score)
    return scored
      .slice(offset, offset + limit)
      .map(({ score, ...item }) => (Number.isFinite(score) ? { ...item, score } : item))
  }

  async #list(operation: ListNamespacesOperation): Promise<string[][]> {
    const { matchConditions = [], maxDepth, limit = 100, offset = 0 } = operation
    const all = await this.#documents.namespaces([])
    const matching = all.filter((namespace) => matchConditions.every((one) => matches(namespace, one)))
    const cut = matching.map((namespace) => namespace.slice(0, maxDepth))
    const distinct = new Map(cut.map((namespace) => [JSON.stringify(namespace), [...namespace]]))
    const names = [...distinct.values()].sort((one, other) => (one.join('\0') < other.join('\0') ? -1 : 1))
    return names.slice(offset, offset + limit)
  }

  async #vectorsOf(value: Record<string, unknown>, index: false | string[] | undefined): Promise<string[]> {
    if (this.#index === undefined || index === false) return []
    const fields = index ?? this.#index.fields ?? ['$']
    const texts = fields.flatMap((field) =>
      field === '$' ? [toJson('value', value)] : getTextAtPath(value, field),
    )
    if (texts.length === 0) return []
    const vectors = await this.#index.embeddings.embedDocuments(texts)
    return vectors.map((vector) => packVector(Float32Array.from(vector)).toString('base64'))
  }
}

function isPut(operation: Operation): operation is PutOperation {
  return 'value' in operation
}

function pathOf(namespace: readonly string[]): readonly string[] {
  if (!Array.isArray(namespace)) throw new InvalidInputError('namespace', 'a path of labels', namespace)
  return namespace.map((label) => checkSubject('namespace', label, 512))
}

function foundOf(namespace: readonly string[], { key, number, json, createdAt, updatedAt }: Document): Found {
  const { value, vectors = [] } = fromJson(json) as Stored
  const dates = { createdAt: new Date(createdAt), updatedAt: new Date(updatedAt) }
  return { item: { namespace: [...namespace], key, value, ...dates }, number, vectors }
}

function matches(namespace: readonly string[], { matchType, path }: MatchCondition): boolean {
  if (path.length > namespace.length) return false
  const from = matchType === 'prefix' ? 0 : namespace.length - path.length
  return path.every((label, index) => label === '*' || label === namespace[from + index])
}

function fits(value: Record<string, unknown>, filter: Record<string, unknown>): boolean {
  return Object.entries(filter).every(([field, wanted]) => compare(value[field], wanted))
}

const comparisons: Record<string, (value: unknown, wanted: unknown) => boolean> = {
  $eq: (value, wanted) => value === wanted,
  $ne: (value, wanted) => value !== wanted,
  $gt: (value, wanted) => Number(value) > Number(wanted),
  $gte: (value, wanted) => Number(value) >= Number(wanted),
  $lt: (value, wanted) => Number(value) < Number(wanted),
  $lte: (value, wanted) => Number(value) <= Number(wanted),
  $in: (value, wanted) => Array.isArray(wanted) && wanted.includes(value),
  $nin: (value, wanted) => !(Array.isArray(wanted) && wanted.includes(value)),
}

function compare(value: unknown, wanted: unknown): boolean {
  const isPlain = typeof wanted !== 'object' || wanted === null || Array.isArray(wanted)
  const operators = isPlain ? [] : Object.entries(wanted)
  const isOperators = operators.length > 0 && operators.every(([name]) => Object.hasOwn(comparisons, name))
  if (!isOperators) return isPlain ? value === wanted : JSON.stringify(value) === JSON.stringify(wanted)
  return operators.every(([name, operand]) => comparisons[name]?.(value, operand) ?? false)
}
