export { type AgentMemory, createAgentMemory, type MemoryStatus } from './agent-memory.js'
export type {
  BackupOptions,
  BackupReport,
  RestoreOptions,
  RestoreReport,
  VerifyReport,
} from './backup/backup.js'
export type { Draft, FollowOptions, RecoverOptions } from './drafts/draft.js'
export type { Piece } from './drafts/port.js'
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
export type { Message, PreparedMessage, StoredMessage } from './messages/message.js'
export type { Answered, Record, Summary } from './messages/record.js'
export type { MemoryStats } from './metrics.js'
export type { AgentMemoryOptions, JournalOptions } from './options.js'
export type { Embedder, Fact, Facts, Recalled, RecallOptions } from './recall/recall.js'
export type { Token } from './replica/operations.js'
export {
  createSessions,
  type ListedSession,
  type Session,
  type SessionData,
  type Sessions,
  type SessionsOptions,
  type SessionWriteOptions,
} from './sessions/sessions.js'
export type { Change, Changed, ChangeOutcome, Limit } from './stores/change.js'
export { MemoryThreadStore, type MemoryThreadStoreOptions } from './stores/memory.js'
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
} from './stores/port.js'
export { RedisThreadStore } from './stores/redis.js'
export type { EraseReceipt, ListedThread, ListOptions, Owner } from './threads/owner.js'
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
} from './threads/thread.js'
export type { Compaction, CompactOptions, SummarizeRequest } from './window/compact.js'
