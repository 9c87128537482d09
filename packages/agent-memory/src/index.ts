export { type AgentMemory, createAgentMemory, type MemoryStatus } from './agent-memory.js'
export type {
  BackupOptions,
  BackupReport,
  RestoreOptions,
  RestoreReport,
  VerifyReport,
} from './backup/backup.js'
export type { Change, Changed, ChangeOutcome, Limit } from './change.js'
export type { Compaction, CompactOptions, SummarizeRequest } from './compaction.js'
export type { Draft, FollowOptions, RecoverOptions } from './drafts/draft.js'
export type { Piece } from './drafts/store.js'
export {
  BackupDamagedError,
  FencedError,
  JournalFailedError,
  JournalFullError,
  LimitReachedError,
  MessageConflictError,
  MessageMissingError,
  MessageTooLargeError,
  OperationConflictError,
  ThreadExistsError,
  ThreadMissingError,
  ThreadUnknownError,
  VersionConflictError,
} from './errors.js'
export type { SubscribeOptions, ThreadEvent } from './feed/subscribe.js'
export type { MemoryHealth, MemoryWarning } from './health.js'
export type { Message, PreparedMessage, StoredMessage } from './message.js'
export type { Token } from './operations.js'
export type { AgentMemoryOptions, JournalOptions } from './options.js'
export type { EraseReceipt, ListedThread, ListOptions, Owner } from './owner.js'
export type { Embedder, Fact, Facts, Recalled, RecallOptions } from './recall/recall.js'
export type { Answered, Record, Summary } from './record.js'
export {
  createSessions,
  type ListedSession,
  type Session,
  type SessionData,
  type Sessions,
  type SessionsOptions,
  type SessionWriteOptions,
} from './sessions/sessions.js'
export type { MemoryStats } from './stats.js'
export type {
  AppendOptions,
  AppendResult,
  DeleteOptions,
  DeleteResult,
  Erased,
  ForkResult,
  LeaseRequest,
  LeaseResult,
  Limits,
  Listed,
  Page as RecordPage,
  PageRequest,
  Since,
  Standing,
  StateValue,
  Tail,
  TailAnswer,
  TailRequest,
  ThreadDump,
  ThreadId,
  ThreadStore,
  WriteOptions,
} from './store.js'
export { MemoryThreadStore, type MemoryThreadStoreOptions } from './stores/memory.js'
export { RedisThreadStore } from './stores/redis.js'
export type {
  AppendConditions,
  ChangeReceipt,
  Entry,
  Lease,
  Page,
  PageOptions,
  Receipt,
  SpliceOptions,
  StateEntry,
  StateReceipt,
  StoredReceipt,
  Thread,
  ThreadState,
  ThreadSummary,
  Window,
  WindowOptions,
} from './thread.js'
