/** For authors of stores: the ports, our own stores, and their types. The contract suites are in `./testing`. */
export type { CompressionOptions } from './entry/compression.js'
export type { Entry, EntryKind, Version } from './entry/entry.js'
export { createRedisStores } from './stores/create-redis-stores.js'
export { MemoryEntryStore, type MemoryEntryStoreOptions } from './stores/memory-entries.js'
export { MemoryFlightStore } from './stores/memory-flights.js'
export type {
  BeginOptions,
  CommitOptions,
  CommitOutcome,
  EntryKey,
  EntryStore,
  FlightStore,
  LogRecord,
  LogView,
  Reading,
  Role,
  WriteOptions,
} from './stores/port.js'
