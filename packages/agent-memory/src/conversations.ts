import type { KnownThreads } from './known-threads.js'
import type { PreparedMessage } from './message.js'
import type { AppendResult, DeleteResult, Tail, TailRequest, ThreadId, ThreadStore } from './store.js'

/** What a journaled append came to in Redis. */
export type Settled = Exclude<AppendResult, { readonly status: 'conflict' }>

export type Appended =
  | AppendResult
  /** Taken here, in an outage. `version` is the last one that is known of the thread, 0 for none. */
  | { readonly status: 'journaled'; readonly version: number; readonly stored: Promise<Settled> }

export interface Reading extends Tail {
  /** Read in an outage: what others did may be missing. */
  readonly stale: boolean
  /** `false` when only a part of the thread is known here. */
  readonly complete: boolean
}

/** What the facade asks for; answered by a store, or by this process in an outage. */
export interface Conversations {
  append(id: ThreadId, messages: readonly PreparedMessage[]): Promise<Appended>
  read(id: ThreadId, request: TailRequest): Promise<Reading>
  delete(id: ThreadId, token: string): Promise<Pick<DeleteResult, 'existed'>>
}

/** Answered by a store; what is seen there is noted, for an outage to begin with. */
export class StoredConversations implements Conversations {
  constructor(
    private readonly store: ThreadStore,
    private readonly ttlMs: number,
    private readonly known?: KnownThreads,
  ) {}

  async append(id: ThreadId, messages: readonly PreparedMessage[]): Promise<Appended> {
    const result = await this.store.append(id, messages, { ttlMs: this.ttlMs })
    if ('seqs' in result) this.known?.appended(id, messages, result)
    return result
  }

  async read(id: ThreadId, request: TailRequest): Promise<Reading> {
    const tail = await this.store.tail(id, request)
    this.known?.read(id, tail)
    return { ...tail, stale: false, complete: true }
  }

  async delete(id: ThreadId, token: string): Promise<Pick<DeleteResult, 'existed'>> {
    const result = await this.store.delete(id, { token })
    this.known?.deleted(id, result.generation)
    return result
  }
}
