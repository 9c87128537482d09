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
export type { Message, StoredMessage } from './messages/message.js'
export type { PreparedMessage } from './messages/prepare.js'
export type { Answered, MessageRecord, Summary } from './messages/record.js'
export type { MemoryStats } from './metrics.js'
export type { AgentMemoryOptions, JournalOptions } from './options.js'
export type { Embedder } from './recall/embedder.js'
export type { Fact, Facts, Recalled, RecallOptions } from './recall/recall.js'
export {
  createSessions,
  type ListedSession,
  type Session,
  type SessionData,
  type Sessions,
  type SessionsOptions,
  type SessionWriteOptions,
} from './sessions/sessions.js'
export type { Change, Changed, ChangeOutcome } from './stores/change.js'
export type { Limit, Limits } from './stores/limits.js'
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
  Page as RecordPage,
  PageRequest,
  Since,
  StateValue,
  Tail,
  TailAnswer,
  TailRequest,
  ThreadDump,
  ThreadListing,
  ThreadStore,
  WriteOptions,
} from './stores/port.js'
export { RedisThreadStore } from './stores/redis.js'
export type { ThreadId, ThreadVersion } from './stores/thread-id.js'
export type { Token } from './stores/token.js'
export type { ChangeReceipt, Entry, Lease, Receipt, StoredReceipt } from './threads/entry.js'
export type { EraseReceipt, ListedThread, ListOptions, Owner } from './threads/owner.js'
export type {
  AppendConditions,
  Page,
  PageOptions,
  SpliceOptions,
  StateEntry,
  StateReceipt,
  Thread,
  ThreadState,
  ThreadSummary,
  Window,
  WindowOptions,
} from './threads/thread.js'
export type { Compaction, CompactOptions, SummarizeRequest } from './window/compact.js'
