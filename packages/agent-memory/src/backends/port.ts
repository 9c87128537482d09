import type { PreparedMessage } from '../messages/prepare.js'
import type { Change, Changed } from '../stores/change.js'
import type {
  AppendOptions,
  AppendResult,
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
  ThreadListPage,
  ThreadStore,
} from '../stores/port.js'
import type { ThreadId, ThreadVersion } from '../stores/thread-id.js'

/** What a journaled append came to in Redis. */
export type StoredOutcome = Extract<AppendResult, { readonly status: 'stored' | 'duplicate' | 'deleted' }>

export type AppendOutcome =
  | AppendResult
  /** Taken here, in an outage. `version` is the last one that is known of the thread, 0 for none. */
  | {
      readonly status: 'journaled'
      readonly version: number
      readonly generation: number | undefined
      readonly stored: Promise<StoredOutcome>
    }

export interface Freshness {
  /** Read in an outage: what others did may be missing. */
  readonly stale: boolean
  /** `false` when only a part of what was asked for is known here. */
  readonly complete: boolean
}

export type Reading = Tail & Freshness

export type AppendGuards = Pick<AppendOptions, 'version' | 'fence' | 'token' | 'digest' | 'generation'>

/** A change's outcome; `journaled` when it was taken here, in an outage. */
export type ChangeResult = Changed & { readonly journaled: boolean }

/** What the facade asks for; answered by a store, or by this process in an outage. */
export interface ThreadBackend {
  append(id: ThreadId, messages: readonly PreparedMessage[], options?: AppendGuards): Promise<AppendOutcome>
  read(id: ThreadId, request: TailRequest): Promise<Reading>
  page(id: ThreadId, request: PageRequest): Promise<Page & Freshness>
  change(id: ThreadId, change: Change, generation?: number): Promise<ChangeResult>
  state(
    id: ThreadId,
    keys?: readonly string[],
  ): Promise<{ readonly values: ReadonlyMap<string, StateValue> } & Freshness>
  lease(id: ThreadId, request: LeaseRequest): Promise<LeaseResult>
  fork(id: ThreadId, to: string, options: { token: string; upTo?: number | undefined }): Promise<ForkResult>
  delete(id: ThreadId, token: string): Promise<Pick<DeleteResult, 'existed'>>
  threads(owner: string, request: ListRequest): Promise<ThreadListPage>
  erase(owner: string): Promise<Erased>
  /** The store itself, for what is done by operators; not in an outage. */
  whole(): Promise<ThreadStore>
}

/** Keeps the latest acknowledged writes for a while, in case Redis loses them. */
export interface WriteLog {
  appended(id: ThreadId, batch: readonly PreparedMessage[], generation: number): void
  changed(id: ThreadId, change: Change, after: ThreadVersion): void
  deleted(id: ThreadId, token: string, generation: number): void
}
