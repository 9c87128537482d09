import type { PreparedMessage } from '../messages/prepare.js'
import { Counters } from '../metrics.js'
import type { ReplicaCache } from '../replica/replica-cache.js'
import type { Change } from '../stores/change.js'
import type { Limits } from '../stores/limits.js'
import type {
  DeleteResult,
  Erased,
  ForkResult,
  LeaseRequest,
  LeaseResult,
  ListRequest,
  Page,
  PageRequest,
  Tail,
  TailRequest,
  ThreadListPage,
  ThreadStore,
} from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import type {
  AppendGuards,
  AppendOutcome,
  ChangeResult,
  Freshness,
  Reading,
  ThreadBackend,
  WriteLog,
} from './port.js'

const fresh: Freshness = { stale: false, complete: true }

/** Threads in a store. Their replicas are updated, so that later reads transfer less, and for outages. */
export class OnlineBackend implements ThreadBackend {
  constructor(
    private readonly store: ThreadStore,
    private readonly terms: { readonly ttlMs: number; readonly limits: Limits },
    private readonly known?: ReplicaCache,
    private readonly remember?: WriteLog,
    private readonly counters = new Counters(),
  ) {}

  async append(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    options: AppendGuards = {},
  ): Promise<AppendOutcome> {
    this.counters.appendTrips++
    // Written out, because spreading two objects for each append is slow.
    const result = await this.store.append(id, messages, {
      ttlMs: this.terms.ttlMs,
      limits: this.terms.limits,
      generation: options.generation,
      version: options.version,
      fence: options.fence,
      token: options.token,
      digest: options.digest,
    })
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
    // The replica may have been dropped or replaced meanwhile.
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

  async change(id: ThreadId, change: Change, generation?: number): Promise<ChangeResult> {
    const changed = await this.store.change(id, change, { ...this.terms, generation })
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

  threads(owner: string, request: ListRequest): Promise<ThreadListPage> {
    return this.store.threads(owner, request)
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
