export { type AgentMemory, createAgentMemory, type MemoryStatus } from './agent-memory.js'
export type {
  BackupOptions,
  BackupReport,
  RestoreOptions,
  RestoreReport,
  VerifyReport,
} from './backup/backup.js'
export type { BackupSource } from './backup/lines.js'
export type { Draft, DraftReceipt, FollowOptions, RecoverOptions } from './drafts/draft.js'
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
  SessionTooLargeError,
  ThreadDeletedError,
  ThreadExistsError,
  ThreadIncompleteError,
  ThreadMissingError,
  ThreadUnknownError,
  VersionConflictError,
} from './errors.js'
export type { SharedMemoryStats } from './feed/stats-poll.js'
export type { SubscribeOptions, ThreadEvent } from './feed/subscribe.js'
export type { MemoryHealth, MemoryWarning } from './health.js'
export type { Message, MessageLike, StoredMessage } from './messages/message.js'
export type { MemoryStats } from './metrics.js'
export type { AgentMemoryOptions, JournalOptions } from './options.js'
export type { Embedder } from './recall/embedder.js'
export type { Fact, Facts, Recalled, RecallOptions } from './recall/recall.js'
export {
  createSessions,
  type ListedSession,
  type Session,
  type SessionData,
  type SessionReadOptions,
  type Sessions,
  type SessionsOptions,
  type SessionWriteOptions,
} from './sessions/sessions.js'
export type { ChangeReceipt, Entry, Lease, Receipt, StoredReceipt } from './threads/entry.js'
export type { EraseReceipt, ListedThread, ListOptions, Owner } from './threads/owner.js'
export type {
  AppendConditions,
  DraftsOptions,
  LeaseOptions,
  Page,
  PageOptions,
  PutOptions,
  PutReceipt,
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
export { forAISDK, forAnthropic, forBedrock, forGemini, forOpenAI } from './window/providers.js'
