import type { PreparedMessage } from '../messages/message.js'
import { Counters } from '../metrics.js'
import type { KnownThreads } from '../replica/replica-cache.js'
import type { Change, Changed } from '../stores/change.js'
import type {
  AppendOptions,
  AppendResult,
  DeleteResult,
  Erased,
  ForkResult,
  LeaseRequest,
  LeaseResult,
  Limits,
  Listed,
  Page,
  PageRequest,
  Standing,
  StateValue,
  Tail,
  TailRequest,
  ThreadId,
  ThreadStore,
} from '../stores/port.js'

/** What a journaled append came to in Redis. */
export type Settled = Extract<AppendResult, { readonly status: 'stored' | 'duplicate' | 'deleted' }>

export type Appended =
  | AppendResult
  /** Taken here, in an outage. `version` is the last one that is known of the thread, 0 for none. */
  | { readonly status: 'journaled'; readonly version: number; readonly stored: Promise<Settled> }

export interface Freshness {
  /** Read in an outage: what others did may be missing. */
  readonly stale: boolean
  /** `false` when only a part of what was asked for is known here. */
  readonly complete: boolean
}

export type Reading = Tail & Freshness

export type Written = Pick<AppendOptions, 'version' | 'fence' | 'token' | 'digest'>

/** A change's outcome; `journaled` when it was taken here, in an outage. */
export type Done = Changed & { readonly journaled: boolean }

/** What the facade asks for; answered by a store, or by this process in an outage. */
export interface Conversations {
  append(id: ThreadId, messages: readonly PreparedMessage[], options?: Written): Promise<Appended>
  read(id: ThreadId, request: TailRequest): Promise<Reading>
  page(id: ThreadId, request: PageRequest): Promise<Page & Freshness>
  change(id: ThreadId, change: Change): Promise<Done>
  state(
    id: ThreadId,
    keys?: readonly string[],
  ): Promise<{ readonly values: ReadonlyMap<string, StateValue> } & Freshness>
  lease(id: ThreadId, request: LeaseRequest): Promise<LeaseResult>
  fork(id: ThreadId, to: string, options: { token: string; upTo?: number | undefined }): Promise<ForkResult>
  delete(id: ThreadId, token: string): Promise<Pick<DeleteResult, 'existed'>>
  threads(owner: string, limit: number, behind?: Listed): Promise<readonly Listed[]>
  erase(owner: string): Promise<Erased>
  /** The store itself, for what is done by operators; not in an outage. */
  whole(): Promise<ThreadStore>
}

const fresh: Freshness = { stale: false, complete: true }

/** Answered by a store; what is seen there is noted, to read less the next time and to go on with in an outage. */
export class StoredConversations implements Conversations {
  constructor(
    private readonly store: ThreadStore,
    private readonly terms: { readonly ttlMs: number; readonly limits: Limits },
    private readonly known?: KnownThreads,
    private readonly remember?: Remember,
    private readonly counters = new Counters(),
  ) {}

  async append(id: ThreadId, messages: readonly PreparedMessage[], options: Written = {}): Promise<Appended> {
    this.counters.appendTrips++
    const result = await this.store.append(id, messages, { ...this.terms, ...options })
    if ('seqs' in result) {
      this.known?.appended(id, messages, result)
      if (result.status === 'stored') this.remember?.appended(id, messages, result.generation)
    }
    return result
  }

  async read(id: ThreadId, request: TailRequest): Promise<Reading> {
    const seen = this.known?.get(id)
    const since = seen?.covers(request) ? seen.since : undefined
    if (since === undefined) return this.#readAnew(id, request)
    const answer = await this.store.tailSince(id, request, since)
    if (answer.kind === 'tail') return this.#note(id, answer)
    // What the reader had may be gone by now.
    if (seen === undefined || this.known?.get(id) !== seen || seen.since?.epoch !== since.epoch) {
      return this.#readAnew(id, request)
    }
    if (answer.kind === 'newer') this.known.read(id, answer)
    this.counters.reads[answer.kind === 'newer' ? 'newer' : 'unchanged']++
    if (!seen.covers(request)) return this.#readAnew(id, request)
    return { ...seen.tail(request), ...fresh }
  }

  async page(id: ThreadId, request: PageRequest): Promise<Page & Freshness> {
    return { ...(await this.store.page(id, request)), ...fresh }
  }

  async change(id: ThreadId, change: Change): Promise<Done> {
    const changed = await this.store.change(id, change, this.terms)
    this.known?.changed(id, change, changed)
    if (changed.status === 'done') this.remember?.changed(id, change, changed)
    return { ...changed, journaled: false }
  }

  async state(id: ThreadId, keys?: readonly string[]) {
    return { values: await this.store.state(id, keys), ...fresh }
  }

  lease(id: ThreadId, request: LeaseRequest): Promise<LeaseResult> {
    return this.store.lease(id, request, this.terms)
  }

  fork(id: ThreadId, to: string, options: { token: string; upTo?: number | undefined }): Promise<ForkResult> {
    return this.store.fork(id, to, { ...this.terms, ...options })
  }

  async delete(id: ThreadId, token: string): Promise<Pick<DeleteResult, 'existed'>> {
    const result = await this.store.delete(id, { token })
    this.known?.deleted(id, result.generation)
    this.remember?.deleted(id, token, result.generation - 1)
    return result
  }

  threads(owner: string, limit: number, behind?: Listed): Promise<readonly Listed[]> {
    return this.store.threads(owner, limit, behind)
  }

  async erase(owner: string): Promise<Erased> {
    this.known?.forgetAll(owner)
    const erased = await this.store.erase(owner)
    this.known?.forgetAll(owner)
    return erased
  }

  async whole(): Promise<ThreadStore> {
    return this.store
  }

  async #readAnew(id: ThreadId, request: TailRequest): Promise<Reading> {
    return this.#note(id, await this.store.tail(id, request))
  }

  #note(id: ThreadId, tail: Tail): Reading {
    this.counters.reads.whole++
    this.known?.read(id, tail)
    return { ...tail, ...fresh }
  }
}

/** Keeps the latest acknowledged writes for a while, in case Redis loses them. */
export interface Remember {
  appended(id: ThreadId, batch: readonly PreparedMessage[], generation: number): void
  changed(id: ThreadId, change: Change, after: Standing): void
  deleted(id: ThreadId, token: string, generation: number): void
}
