export { type AgentMemory, createAgentMemory } from './agent-memory.js'
export { JournalFullError, MessageConflictError, MessageTooLargeError, ThreadUnknownError } from './errors.js'
export type { Message, PreparedMessage, StoredMessage } from './message.js'
export type { AgentMemoryOptions } from './options.js'
export type {
  AppendOptions,
  AppendResult,
  DeleteOptions,
  DeleteResult,
  Record,
  Standing,
  Tail,
  TailRequest,
  ThreadId,
  ThreadStore,
} from './store.js'
export { MemoryThreadStore, type MemoryThreadStoreOptions } from './stores/memory.js'
export { RedisThreadStore } from './stores/redis.js'
export type { Receipt, StoredReceipt, Thread, Window, WindowOptions } from './thread.js'
