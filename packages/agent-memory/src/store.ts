// For authors of stores: the port, its types, and our own stores.

export type { PreparedMessage } from './messages/prepare.js'
export type { Answered, MessageRecord, Summary } from './messages/record.js'
export type { Change, Changed, ChangeOutcome } from './stores/change.js'
export { type Limit, type Limits, noLimits } from './stores/limits.js'
export { MemoryThreadStore, type MemoryThreadStoreOptions } from './stores/memory.js'
export type * from './stores/port.js'
export { RedisThreadStore } from './stores/redis.js'
export type { ThreadId, ThreadVersion } from './stores/thread-id.js'
export type { Token } from './stores/token.js'
