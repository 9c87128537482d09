import {
  type Clock,
  type Connection,
  type Duration,
  durationMs,
  InvalidOptionError,
  systemClock,
  wholeNumber,
} from '@evenkeel/core'

export interface ResponseCacheOptions {
  /** Where entries live; left out, they live in this process alone. */
  readonly redis?: Connection | undefined
  /** How long an answer is served. @default '1h' */
  readonly ttl?: Duration | undefined
  /** Tenants, or anything else whose entries must not meet. @default 'default' */
  readonly namespace?: string | undefined
  /** Entries that this process keeps for outages. @default 10_000 */
  readonly maxEntries?: number | undefined
  /** Bytes that this process keeps for outages. @default 64 MiB */
  readonly maxBytes?: number | undefined
  /** An answer that is larger is passed on and not kept. @default 1 MiB */
  readonly maxEntryBytes?: number | undefined
  readonly clock?: Clock | undefined
}

export interface ResolvedOptions {
  readonly redis: Connection | undefined
  readonly ttlMs: number
  readonly namespace: string
  readonly maxEntries: number
  readonly maxBytes: number
  readonly maxEntryBytes: number
  readonly clock: Clock
}

export function resolveOptions(options: ResponseCacheOptions): ResolvedOptions {
  const { namespace = 'default' } = options
  if (typeof namespace !== 'string' || namespace === '' || namespace.length > 256) {
    throw new InvalidOptionError('namespace', 'text of 1 to 256 characters', namespace)
  }
  return {
    redis: options.redis,
    ttlMs: durationMs('ttl', options.ttl ?? '1h', { minMs: 1 }),
    namespace,
    maxEntries: wholeNumber('maxEntries', options.maxEntries ?? 10_000),
    maxBytes: wholeNumber('maxBytes', options.maxBytes ?? 64 << 20),
    maxEntryBytes: wholeNumber('maxEntryBytes', options.maxEntryBytes ?? 1 << 20),
    clock: options.clock ?? systemClock,
  }
}
