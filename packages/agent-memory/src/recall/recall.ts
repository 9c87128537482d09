import { InvalidInputError, InvalidOptionError } from '@evenkeel/core'
import {
  type Clock,
  checkSubject,
  createLog,
  type Duration,
  input,
  isError,
  type Logger,
  notify,
  sleep,
} from '@evenkeel/core/kit'
import { messageOf } from '../messages/decode.js'
import { digestText } from '../messages/ids.js'
import { fromJson, toJson } from '../messages/json.js'
import type { StoredMessage } from '../messages/message.js'
import type { PreparedMessage } from '../messages/prepare.js'
import type { MessageRecord } from '../messages/record.js'
import type { Counters } from '../metrics.js'
import { type ThreadId, textOf } from '../stores/thread-id.js'
import { wholeInput } from '../threads/receipts.js'
import type { Embedder } from './embedder.js'
import type { RecallItem, RecallStore } from './port.js'

const log = createLog('agent-memory')

export type Recalled = {
  /** Cosine similarity, from -1 to 1; with `halfLife` it is reduced by age. */
  readonly score: number
  /** When the message was appended or the fact added, in ms since 1970. */
  readonly at: number
  readonly text: string
} & (
  | { readonly kind: 'message'; readonly thread: string; readonly message: StoredMessage }
  | { readonly kind: 'fact'; readonly id: string; readonly metadata: unknown }
)

export interface RecallOptions {
  /** Maximum number of results. @default 5, at most 100 */
  readonly k?: number | undefined
  /** Leaves out results with a lower score. @default -1 */
  readonly minScore?: number | undefined
  /** Age at which a score is halved. @default age does not matter */
  readonly halfLife?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Fact {
  readonly id: string
  readonly text: string
  readonly metadata: unknown
  readonly at: number
}

export interface Facts {
  /** Stores a fact; the same text is the same fact. The fact that it `supersedes` is deleted in the same step. */
  add(
    text: string,
    options?: { readonly metadata?: unknown; readonly supersedes?: string | undefined },
  ): Promise<Fact>
  list(): Promise<readonly Fact[]>
  delete(id: string): Promise<void>
}

type Payload =
  | { readonly f: string; readonly m: unknown; readonly at: number }
  | { readonly t: string; readonly i: string; readonly at: number }

/** Messages that may wait to be embedded; recall does not find those beyond it until they are indexed. */
const maxWaiting = 1_000
const embeddedAtOnce = 32
/** Pauses before a failed batch is embedded again. */
const retriesMs = [100, 500, 2_000]

/** A message to be embedded. */
interface Noted {
  readonly id: ThreadId
  readonly message: PreparedMessage
  readonly at: number
  /** Generation of the thread when the message was stored; `undefined` if the message waits in the journal. */
  readonly generation: number | undefined
}

export interface RecallHost {
  readonly clock: Clock
  readonly counters: Counters
  readonly logger?: Logger | undefined
  /** @default a timer that does not keep the process alive */
  readonly pause?: ((ms: number, signal: AbortSignal) => Promise<void>) | undefined
}

/** Reads one message by its id. */
export type ReadMessage = (id: ThreadId, message: string) => Promise<MessageRecord | undefined>

/** Finds messages and facts by meaning. Messages are embedded after their append, never before it. */
export class Recall {
  readonly #embedder: Embedder
  readonly #store: RecallStore
  readonly #roles: ReadonlySet<string>
  readonly #host: RecallHost
  readonly #closed = new AbortController()
  #warnedAt = Number.NEGATIVE_INFINITY
  #waiting: Noted[] = []
  #working: Promise<void> | undefined

  constructor(embedder: Embedder, store: RecallStore, host: RecallHost) {
    this.#host = host
    if (typeof embedder.embed !== 'function' || typeof embedder.model !== 'string' || embedder.model === '') {
      throw new InvalidOptionError('embed', 'a model and a function', embedder)
    }
    this.#embedder = embedder
    this.#store = store
    this.#roles = new Set(embedder.roles ?? ['user', 'assistant'])
  }

  /** Queues appended messages to be embedded; recall finds them shortly afterwards. */
  note(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    { at, generation }: { readonly at: number; readonly generation: number | undefined },
  ): void {
    for (const message of messages) {
      if (!this.#roles.has(message.role)) continue
      if (this.#waiting.length < maxWaiting) this.#waiting.push({ id, message, at, generation })
      else this.#giveUp(1, 'more of them wait than may')
    }
    if (this.#waiting.length > 0) this.#working ??= this.#work()
  }

  /** Resolves when no message waits to be embedded. */
  async settled(): Promise<void> {
    await this.#working
  }

  async search(
    read: ReadMessage,
    owner: string,
    query: string,
    { k = 5, minScore = -1, halfLife, signal }: RecallOptions,
  ): Promise<readonly Recalled[]> {
    if (typeof query !== 'string' || query.trim() === '')
      throw new InvalidInputError('query', 'a text', query)
    if (wholeInput('k', k, 1) > 100) throw new InvalidInputError('k', 'a whole number from 1 to 100', k)
    const halfLifeMs = halfLife === undefined ? undefined : input.duration('halfLife', halfLife, { minMs: 1 })
    const [vector] = await this.#vectorsOf([query], signal)
    if (vector === undefined) throw new TypeError('The embedder gave no vector')
    // More than requested: some may have been deleted, and age may change their order.
    const hits = await this.#store.search(owner, vector, 3 * k + 10)
    const now = this.#host.clock.now()
    const found: Recalled[] = []
    const gone: string[] = []
    for (const { id, payload, score } of hits) {
      if (!id.startsWith(`${this.#embedder.model}|`)) continue
      const recalled = await this.#readHit(read, owner, fromJson(payload) as Payload, id)
      if (recalled === undefined) gone.push(id)
      else {
        const aged = halfLifeMs === undefined ? score : score * 0.5 ** ((now - recalled.at) / halfLifeMs)
        if (aged >= minScore) found.push({ ...recalled, score: aged })
      }
    }
    // A deleted message is not returned, and its vector is removed when the search meets it.
    if (gone.length > 0) await this.#store.put(owner, [], gone)
    return found.sort((one, other) => other.score - one.score).slice(0, k)
  }

  facts(owner: string): Facts {
    return {
      add: async (text, { metadata = null, supersedes } = {}) => {
        checkSubject('text', text, 16_384)
        const id = this.#factId(text)
        const at = this.#host.clock.now()
        const [generation, [vector]] = await Promise.all([
          this.#store.generationOf(owner),
          this.#vectorsOf([text]),
        ])
        if (vector === undefined) throw new TypeError('The embedder gave no vector')
        const payload = toJson('fact', { f: text, m: metadata, at })
        const item = { id, vector, payload, since: { thread: undefined, generation } }
        await this.#store.put(
          owner,
          [item],
          supersedes === undefined || supersedes === id ? [] : [supersedes],
        )
        return { id, text, metadata, at }
      },
      list: async () => {
        const all = await this.#store.all(owner)
        const facts = [...all].map(([id, payload]) => ({ id, payload: fromJson(payload) as Payload }))
        return facts
          .flatMap(({ id, payload }) =>
            'f' in payload ? [{ id, text: payload.f, metadata: payload.m, at: payload.at }] : [],
          )
          .sort((one, other) => one.at - other.at)
      },
      delete: (id) => this.#store.put(owner, [], [checkSubject('id', id, 512)]),
    }
  }

  #factId(text: string): string {
    const plain = text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim()
    return `${this.#embedder.model}|fact|${digestText(plain)}`
  }

  async #readHit(
    read: ReadMessage,
    owner: string,
    payload: Payload,
    id: string,
  ): Promise<Recalled | undefined> {
    const { at } = payload
    if ('f' in payload) return { kind: 'fact', id, text: payload.f, metadata: payload.m, at, score: 0 }
    const record = await read({ owner, thread: payload.t }, payload.i)
    if (record === undefined) return undefined
    const message = messageOf(record)
    return { kind: 'message', thread: payload.t, message, text: plainText(message), at, score: 0 }
  }

  close(): void {
    this.#closed.abort(new Error('closed'))
  }

  async #work(): Promise<void> {
    const { signal } = this.#closed
    let failures = 0
    while (this.#waiting.length > 0 && !signal.aborted) {
      const some = this.#waiting.slice(0, embeddedAtOnce)
      try {
        await this.#index(some)
        failures = 0
        this.#waiting = this.#waiting.slice(some.length)
      } catch (error) {
        failures++
        log('embedding %d messages failed: %s', some.length, error)
        if (failures <= retriesMs.length) await this.#pause(retriesMs[failures - 1] ?? 0)
        else {
          // Only these are given up: messages that wait behind them may still be embedded.
          failures = 0
          this.#giveUp(some.length, isError(error) ? error.message : String(error))
          this.#waiting = this.#waiting.slice(some.length)
        }
      }
    }
    this.#working = undefined
  }

  async #pause(ms: number): Promise<void> {
    const { pause = (delay, signal) => sleep(delay, { signal, ref: false }) } = this.#host
    await pause(ms, this.#closed.signal).catch(() => {})
  }

  /** Warns at most once a minute. */
  #giveUp(count: number, why: string): void {
    this.#host.counters.notEmbedded += count
    const now = this.#host.clock.monotonic()
    if (now - this.#warnedAt < 60_000) return
    this.#warnedAt = now
    const message = `Messages were not embedded, and recall does not find them: ${why}`
    notify(this.#host.logger, 'warn', message, 'EVENKEEL_RECALL')
  }

  async #index(some: readonly Noted[]): Promise<void> {
    const texts = some.map(({ message }) => plainText(JSON.parse(message.body)))
    const told = some
      .map((one, index) => ({ ...one, text: texts[index] ?? '' }))
      .filter(({ text }) => text !== '')
    const vectors = await this.#vectorsOf(told.map(({ text }) => text))
    const byOwner = new Map<string, RecallItem[]>()
    for (const [index, { id, message, at, generation }] of told.entries()) {
      const vector = vectors[index]
      if (vector === undefined) continue
      const payload = JSON.stringify({ t: id.thread, i: message.id, at })
      const name = digestText(`${textOf(id)} ${message.id}`)
      const items = byOwner.get(id.owner) ?? []
      const since = generation === undefined ? undefined : { thread: id.thread, generation }
      items.push({ id: `${this.#embedder.model}|message|${name}`, vector, payload, since })
      byOwner.set(id.owner, items)
    }
    for (const [owner, items] of byOwner) await this.#store.put(owner, items, [])
  }

  async #vectorsOf(texts: readonly string[], signal?: AbortSignal): Promise<readonly Float32Array[]> {
    if (texts.length === 0) return []
    const vectors = await this.#embedder.embed(texts, signal)
    return vectors.map((vector) => Float32Array.from(vector))
  }
}

interface SpokenMessage {
  readonly content?: unknown
  readonly parts?: unknown
  /** An item of the OpenAI Agents SDK. */
  readonly item?: unknown
}

/** The words of a message, whatever shape its provider gives them. */
function plainText({ content, parts, item }: SpokenMessage): string {
  if (typeof item === 'object' && item !== null && content === undefined) return plainText(item)
  const blocks = content ?? parts
  if (typeof blocks === 'string') return blocks
  if (!Array.isArray(blocks)) return ''
  const texts = blocks.map((block: unknown) =>
    typeof block === 'object' && block !== null && 'text' in block && typeof block.text === 'string'
      ? block.text
      : '',
  )
  return texts.filter(Boolean).join('\n')
}
