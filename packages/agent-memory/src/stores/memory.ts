import { randomUUID } from 'node:crypto'
import { InvalidInputError } from '@evenkeel/core'
import { ByteBoundedLru, type Clock, systemClock } from '@evenkeel/core/kit'
import { MessageTooLargeError } from '../errors.js'
import type { PreparedMessage } from '../messages/prepare.js'
import { changeThread } from '../replica/apply.js'
import { pageOf, tailOf } from '../replica/read.js'
import { bytesOf, ThreadImage } from '../replica/thread-image.js'
import type { Change, Changed } from './change.js'
import { Leases } from './leases.js'
import { type Limits, noLimits, tombstoneMs } from './limits.js'
import type {
  AppendOptions,
  AppendResult,
  ChangeOptions,
  DeleteOptions,
  DeleteResult,
  Erased,
  ForkResult,
  LeaseRequest,
  LeaseResult,
  ListRequest,
  Page,
  PageRequest,
  StateValue,
  Tail,
  TailRequest,
  ThreadDump,
  ThreadListing,
  ThreadListPage,
  ThreadStore,
  WriteOptions,
} from './port.js'
import { type ThreadId, textOf } from './thread-id.js'

export interface MemoryThreadStoreOptions {
  /** Maximum number of threads; beyond it the least recently used ones are dropped, each as a whole. @default 1_000 */
  readonly maxThreads?: number | undefined
  /** Maximum size of all threads together; beyond it threads are dropped as with `maxThreads`. @default 64 MiB */
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

interface Held {
  readonly id: ThreadId
  readonly log: ThreadImage
  readonly leases: Leases
  /** When it last changed, ms since 1970. */
  at: number
}

/** The same step as in scripts/thread/erase.lua. */
const erasureStep = 1_000_000

/** How long a list is kept after each of its pages. */
const listMs = 3_600_000

const spareBytes = 16_384

/** Threads in this process, bounded. A thread is kept as a whole, or not at all. */
export class MemoryThreadStore implements ThreadStore {
  readonly #threads: ByteBoundedLru<Held>
  readonly #maxBytes: number
  readonly #clock: Clock
  #lastAt = 0
  /** Generations of owners, which grow with each erasure by a step that no thread's own deletions reach. */
  readonly #erasures: ByteBoundedLru<number>
  /** Lists that are being paged through, as they were when they began. */
  readonly #lists: ByteBoundedLru<readonly ThreadListing[]>
  readonly #gone: ((owner: string, thread: string | undefined) => void)[] = []

  constructor(options: MemoryThreadStoreOptions = {}) {
    const { maxThreads = 1_000, maxBytes = 64 << 20, clock = systemClock } = options
    this.#threads = new ByteBoundedLru({
      maxEntries: maxThreads,
      maxBytes: maxBytes + spareBytes,
      sizeOf: ({ log }) => log.bytes + stateBytes(log),
      clock,
    })
    this.#lists = new ByteBoundedLru({
      maxEntries: 1_000,
      sizeOf: (list) => list.reduce((sum, { thread }) => sum + 2 * thread.length + 50, 0),
      clock,
    })
    this.#erasures = new ByteBoundedLru({ maxEntries: 100_000, sizeOf: () => 8, clock })
    this.#maxBytes = maxBytes
    this.#clock = clock
  }

  /** Calls `tell` when a thread was deleted, or an owner erased. */
  onGone(tell: (owner: string, thread: string | undefined) => void): void {
    this.#gone.push(tell)
  }

  /** Grows when a thread of this name is deleted, or its owner erased. */
  generationOf(id: ThreadId): number {
    return this.#of(id).log.generation
  }

  /** Threads that are held. */
  get size(): number {
    return this.#threads.size
  }

  get bytes(): number {
    return this.#threads.bytes
  }

  /** @throws MessageTooLargeError when the thread would not fit into `maxBytes` alone */
  async append(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    { ttlMs, ...options }: AppendOptions,
  ): Promise<AppendResult> {
    const held = this.#of(id)
    const { log, leases } = held
    // An append must not be acknowledged if the thread is too large to be kept.
    const fresh = messages.filter((message) => !log.has(message.id))
    const bytes = fresh.reduce((sum, message) => sum + bytesOf(message), log.bytes)
    if (bytes > this.#maxBytes) throw new MessageTooLargeError('thread', bytes, this.#maxBytes)
    const result = log.append(messages, options, this.#clock.now(), {
      isFenced: options.fence !== undefined && options.fence < leases.fence,
      ownerIsFull: this.#isFull(id.owner, options.limits),
    })
    if (result.status === 'stored') this.#keep(held, ttlMs)
    return result
  }

  async tail(id: ThreadId, request: TailRequest): Promise<Tail> {
    return tailOf(this.#of(id).log, request)
  }

  /** In memory, a reply with only the new records would save nothing. */
  tailSince(id: ThreadId, request: TailRequest): Promise<Tail> {
    return this.tail(id, request)
  }

  async page(id: ThreadId, request: PageRequest): Promise<Page> {
    return pageOf(this.#of(id).log, request)
  }

  async change(id: ThreadId, change: Change, { ttlMs, generation, limits }: ChangeOptions): Promise<Changed> {
    const held = this.#of(id)
    const { version } = held.log
    const changed = changeThread(held.log, change, this.#clock.now(), {
      generation,
      limits,
      ownerIsFull: this.#isFull(id.owner, limits),
    })
    if (held.log.version > version) this.#keep(held, ttlMs)
    return changed
  }

  async state(id: ThreadId, keys?: readonly string[]): Promise<ReadonlyMap<string, StateValue>> {
    const { state } = this.#of(id).log
    if (keys === undefined) return new Map(state)
    const found = new Map<string, StateValue>()
    for (const key of keys) {
      const value = state.get(key)
      if (value !== undefined) found.set(key, value)
    }
    return found
  }

  async lease(id: ThreadId, request: LeaseRequest, { ttlMs }: WriteOptions): Promise<LeaseResult> {
    const held = this.#of(id)
    const { result, isNew } = held.leases.ask(request, this.#clock.now())
    if (isNew) {
      held.log.begin()
      held.log.changed(false)
      this.#keep(held, ttlMs)
    }
    return result
  }

  async fork(
    id: ThreadId,
    to: string,
    { ttlMs, token, upTo }: WriteOptions & { readonly token: string; readonly upTo?: number | undefined },
  ): Promise<ForkResult> {
    const source = this.#of(id).log
    const target = { owner: id.owner, thread: to }
    const over = this.#of(target).log
    if (over.isForkOf(token)) return { status: 'done', ...over.standing() }
    if (over.exists) return { status: 'exists' }
    if (!source.exists) return { status: 'missing' }
    const log = source.fork(over, upTo, token)
    this.#keep({ id: target, log, leases: new Leases(), at: 0 }, ttlMs)
    return { status: 'done', ...log.standing() }
  }

  async delete(id: ThreadId, options: DeleteOptions): Promise<DeleteResult> {
    const { log } = this.#of(id)
    const result = log.delete(options)
    for (const tell of this.#gone) if (result.existed) tell(id.owner, id.thread)
    // A thread's leases go with it.
    if (!log.exists) this.#threads.set(textOf(id), { id, log, leases: new Leases(), at: 0 }, tombstoneMs)
    return result
  }

  async threads(owner: string, { limit, cursor }: ListRequest): Promise<ThreadListPage> {
    const [, list = randomUUID(), from = '0'] = /^([\w-]{36})\.(\d{1,15})$/.exec(cursor ?? '') ?? []
    const all = cursor === undefined ? this.#listOf(owner) : this.#lists.get(`${list} ${owner}`)
    if (all === undefined) {
      throw new InvalidInputError('cursor', 'a cursor of a list that is still kept', cursor)
    }
    const threads: ThreadListing[] = []
    let next = Number(from)
    for (; next < all.length && threads.length < limit; next++) {
      const listed = all[next]
      // Skips threads that ended since.
      if (listed !== undefined && this.#of({ owner, thread: listed.thread }).log.exists) threads.push(listed)
    }
    if (next >= all.length) this.#lists.delete(`${list} ${owner}`)
    else this.#lists.set(`${list} ${owner}`, all, listMs)
    return { threads, cursor: next >= all.length ? undefined : `${list}.${next}` }
  }

  async endList(owner: string, cursor: string): Promise<void> {
    this.#lists.delete(`${cursor.split('.')[0]} ${owner}`)
  }

  async *owners(): AsyncIterable<string> {
    const threads = [...this.#threads.entries()].filter(([, { log }]) => log.exists)
    yield* new Set(threads.map(([, { id }]) => id.owner))
  }

  async erase(owner: string): Promise<Erased> {
    const held = this.#ofOwner(owner)
    const names = [...this.#threads.entries()].filter(([, { id }]) => id.owner === owner)
    for (const [name] of names) this.#threads.delete(name)
    this.#erasures.set(owner, this.#erasure(owner) + erasureStep, tombstoneMs)
    for (const tell of this.#gone) tell(owner, undefined)
    const sum = (of: (log: ThreadImage) => number) => held.reduce((total, { log }) => total + of(log), 0)
    return { threads: held.length, messages: sum(({ count }) => count), bytes: sum((log) => log.bodyBytes) }
  }

  /** In memory, an erasure removes everything at once. */
  async remains(): Promise<number> {
    return 0
  }

  async dump(id: ThreadId): Promise<ThreadDump | undefined> {
    const { log, at } = this.#of(id)
    return log.exists ? log.dump(at, tombstoneMs) : undefined
  }

  async restore(id: ThreadId, dump: ThreadDump): Promise<boolean> {
    const over = this.#of(id).log
    if (over.exists) return false
    const held = { id, log: ThreadImage.from(dump, over), leases: new Leases(), at: dump.changedAt }
    this.#threads.set(textOf(id), held, dump.ttlMs)
    return true
  }

  #erasure(owner: string): number {
    return this.#erasures.get(owner) ?? 0
  }

  #listOf(owner: string): readonly ThreadListing[] {
    return this.#ofOwner(owner)
      .map(({ id, at }) => ({ thread: id.thread, at }))
      .sort(newestFirst)
  }

  #isFull(owner: string, limits: Limits = noLimits): boolean {
    return limits.threads > 0 && this.#ofOwner(owner).length >= limits.threads
  }

  #ofOwner(owner: string): Held[] {
    const held = [...this.#threads.entries()].map(([, one]) => one)
    return held.filter(({ id, log }) => id.owner === owner && log.exists)
  }

  #of(id: ThreadId): Held {
    const held = this.#threads.get(textOf(id))
    if (held !== undefined) return held
    const log = new ThreadImage()
    log.generation = this.#erasure(id.owner)
    return { id, log, leases: new Leases(), at: 0 }
  }

  #keep(held: Held, ttlMs: number): void {
    this.#lastAt = Math.max(this.#lastAt, this.#clock.now())
    held.at = this.#lastAt
    this.#threads.set(textOf(held.id), held, ttlMs)
  }
}

/** Orders names of equal times as Redis does: by the bytes of their encoded form. */
function newestFirst(one: ThreadListing, other: ThreadListing): number {
  const [name, otherName] = [encodeURIComponent(one.thread), encodeURIComponent(other.thread)]
  return other.at - one.at || (name === otherName ? 0 : name < otherName ? 1 : -1)
}

function stateBytes({ state }: ThreadImage): number {
  let bytes = 0
  for (const [key, { value }] of state) bytes += 2 * (key.length + value.length)
  return bytes
}
