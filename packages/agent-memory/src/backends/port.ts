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

/** The outcome of a journaled append in Redis. */
export type StoredOutcome = Extract<AppendResult, { readonly status: 'stored' | 'duplicate' | 'deleted' }>

export type AppendOutcome =
  | AppendResult
  /** Taken by this process in an outage. `version` is the last known version of the thread, or 0. */
  | {
      readonly status: 'journaled'
      readonly version: number
      readonly generation: number | undefined
      readonly stored: Promise<StoredOutcome>
    }

export interface Freshness {
  /** Read in an outage: changes of other processes may be missing. */
  readonly stale: boolean
  /** `false` if this process knows only a part of what was requested. */
  readonly complete: boolean
}

export type Reading = Tail & Freshness

export type AppendGuards = Pick<AppendOptions, 'version' | 'fence' | 'token' | 'digest' | 'generation'>

/** A change's outcome; `journaled` if this process took it in an outage. */
export type ChangeResult = Changed & { readonly journaled: boolean }

/** What the facade calls: a store or, in an outage, this process. */
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
  /** The store itself, for operations of operators; not in an outage. */
  whole(): Promise<ThreadStore>
}

/** Keeps the latest acknowledged writes for a while, in case Redis loses them. */
export interface WriteLog {
  appended(id: ThreadId, batch: readonly PreparedMessage[], generation: number): void
  changed(id: ThreadId, change: Change, after: ThreadVersion): void
  deleted(id: ThreadId, token: string, generation: number): void
}
