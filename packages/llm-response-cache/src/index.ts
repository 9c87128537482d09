export type { CallOptions } from './call-options.js'
export type { Clear, ClearResult } from './clear.js'
export type { EmbeddingsOptions } from './embeddings.js'
export type { CompressionOptions } from './entry/compression.js'
export type { EncryptOptions } from './entry/encryption.js'
export type { Entry, EntryKind, Version } from './entry/entry.js'
export { LeaderLostError, ProviderStalledError } from './errors.js'
export type { Fetch, FetchOptions, Replay } from './fetch/options.js'
export { canonicalHash, UnkeyableError } from './key/canonical.js'
export type { Difference, Explanation } from './key/explain.js'
export type { KeyRules } from './key/rules.js'
export type { Detailed } from './lookup/values.js'
export type { CacheOptions } from './options.js'
export { createResponseCache, type ResponseCache, type ResponseCacheOptions } from './response-cache.js'
export { createRedisStores } from './stores/create-redis-stores.js'
export { MemoryEntryStore, type MemoryEntryStoreOptions } from './stores/memory-entries.js'
export { MemoryFlightStore } from './stores/memory-flights.js'
export type {
  BeginOptions,
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
export type { Price, Prices } from './usage/prices.js'
export type { CacheStats, Counts } from './usage/stats.js'
export type { Usage } from './usage/tokens.js'
export { type CacheKind, createCache, type ValueCache, type ValueCacheOptions } from './value-cache.js'
export type { WrapOptions, Wrapped } from './wrap.js'
