import type { Connection } from '@evenkeel/core'
import { EntryCodec } from '../entry/codec.js'
import { Compression } from '../entry/compression.js'
import type { EntrySealer } from '../entry/encryption.js'
import type { EntryStore, FlightStore } from './port.js'
import { RedisEntryStore } from './redis-entries.js'
import { RedisFlightStore } from './redis-flights.js'
import { RedisKeys } from './redis-keys.js'

export interface Stores {
  readonly entries: EntryStore
  readonly flights: FlightStore
}

/** Entries and flights in one Redis. */
export function createRedisStores(
  redis: Connection,
  {
    sealer,
    compression = new Compression(),
    room = 'llm-cache',
    maxEntryBytes,
  }: {
    readonly sealer?: EntrySealer | undefined
    readonly compression?: Compression | undefined
    /** Caches of other rooms share nothing. @default 'llm-cache' */
    readonly room?: string | undefined
    /** Larger bodies are not read. @default 256 MiB */
    readonly maxEntryBytes?: number | undefined
  } = {},
): Stores {
  const keys = new RedisKeys(redis.namespace, room)
  const codec = new EntryCodec(compression, sealer, maxEntryBytes)
  return {
    entries: new RedisEntryStore(redis, keys, codec),
    flights: new RedisFlightStore(redis, keys, codec, sealer),
  }
}
