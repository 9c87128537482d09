import {
  type Clock,
  type Connection,
  type Duration,
  InvalidOptionError,
  type TelemetryOptions,
} from '@evenkeel/core'
import {
  checkSubject,
  durationMs,
  option,
  resolveTelemetry,
  systemClock,
  wholeNumber,
} from '@evenkeel/core/kit'
import type { Policy } from './call-options.js'
import type { CompressionOptions } from './entry/compression.js'
import type { EncryptOptions } from './entry/encryption.js'
import { type KeyRules, keyRuleNames } from './key/rules.js'
import { checkPrices, type Prices } from './usage/prices.js'

/** Options that every cache of this package has. */
export interface CacheOptions {
  /** Connection to the Redis that stores the entries. Without it, entries live only in this process. */
  readonly redis?: Connection | undefined
  /** How long an entry is a hit. @default CACHE_TTL_* of the environment in seconds, else '1h' */
  readonly ttl?: Duration | undefined
  /** Tenants never share entries. A tenant's name has 1 to 256 characters. @default 'default' */
  readonly tenant?: string | undefined
  /** Share of the ttl by which it varies, so that entries stored together do not expire together. @default 0.1 */
  readonly jitter?: number | undefined
  /** How long after its ttl an entry is still served at once while it is renewed in the background. @default 0 */
  readonly staleWhileRevalidate?: Duration | undefined
  /** How long after its ttl an entry is served if the provider fails. @default 0 */
  readonly grace?: Duration | undefined
  /**
   * How eagerly a frequently used entry is renewed before its ttl ends (XFetch's beta): 0 never; with 1 about once,
   * a few times the provider's latency before the end. @default 1
   */
  readonly earlyRefresh?: number | undefined
  /** `second-sight` stores an answer only if it is requested twice within `admitWithin`. @default 'always' */
  readonly admit?: 'always' | 'second-sight' | undefined
  /** How long a first request is remembered with `second-sight`. @default '1h' */
  readonly admitWithin?: Duration | undefined
  /** How long this process uses its own copy of an entry without asking Redis; 0: never. @default '30s' */
  readonly l1Ttl?: Duration | undefined
  /** Maximum number of entries in this process's memory. @default 10_000 */
  readonly maxEntries?: number | undefined
  /** Maximum size of the entries in this process's memory. @default 64 MiB */
  readonly maxBytes?: number | undefined
  /** A larger answer is passed on, but not stored. @default 1 MiB */
  readonly maxEntryBytes?: number | undefined
  /** `false` stores bodies uncompressed. @default from 8 KiB, where it saves a fifth */
  readonly compress?: CompressionOptions | false | undefined
  /** Encrypts bodies with AES-256-GCM and hides names. Entries stored without it are misses. @default none */
  readonly encrypt?: EncryptOptions | undefined
  /** Where equal calls at the same time become one: in all instances, in this process, or nowhere. @default 'shared' */
  readonly singleFlight?: 'shared' | 'process' | 'off' | undefined
  /** If the instance that calls the provider is silent for this long, another one calls. @default '5s' */
  readonly lease?: Duration | undefined
  /**
   * A provider, or a function, that sends nothing for this long is given up: its caller gets `ProviderStalledError`,
   * and each caller that shares the call makes its own. @default '5m'
   */
  readonly stallTimeout?: Duration | undefined
  /** Whether a call that all callers have left is finished and stored, or cancelled. @default 'finish' */
  readonly onAbandon?: 'finish' | 'cancel' | undefined
  /** How many abandoned calls may go on at once; beyond it the oldest is cancelled. @default 64 */
  readonly maxAbandoned?: number | undefined
  readonly telemetry?: boolean | TelemetryOptions | undefined
  readonly clock?: Clock | undefined
  /** From 0 to 1; for tests. @default Math.random */
  readonly random?: (() => number) | undefined
}

export const cacheOptionNames: Readonly<Record<keyof CacheOptions, true>> = {
  redis: true,
  ttl: true,
  tenant: true,
  jitter: true,
  staleWhileRevalidate: true,
  grace: true,
  earlyRefresh: true,
  admit: true,
  admitWithin: true,
  l1Ttl: true,
  maxEntries: true,
  maxBytes: true,
  maxEntryBytes: true,
  compress: true,
  encrypt: true,
  singleFlight: true,
  lease: true,
  stallTimeout: true,
  onAbandon: true,
  maxAbandoned: true,
  telemetry: true,
  clock: true,
  random: true,
}

export interface ResponseCacheOptions extends CacheOptions {
  /**
   * `deterministic` bypasses the cache for requests that ask for randomness: with a temperature above
   * `maxTemperature`, or several choices without a seed. @default 'always'
   */
  readonly policy?: 'always' | 'deterministic' | undefined
  /** For `policy: 'deterministic'`; a request without a temperature counts as 1. @default 0 */
  readonly maxTemperature?: number | undefined
  /** How long failures are stored, by HTTP status: `{ 404: '10s' }`. @default none */
  readonly negativeTtl?: Readonly<Record<number, Duration>> | undefined
  /** Which fields of a request do not change the answer, and other rules of keys. */
  readonly keys?: KeyRules | undefined
  /** Prices of the models, to compute the money saved. None are built in, because prices change. */
  readonly prices?: Prices | undefined
}

export interface ResolvedOptions {
  readonly redis: Connection | undefined
  readonly policy: Policy
  readonly jitter: number
  readonly admitWithinMs: number
  readonly l1TtlMs: number
  readonly maxEntries: number
  readonly maxBytes: number
  readonly maxEntryBytes: number
  readonly compress: CompressionOptions | false | undefined
  readonly encrypt: EncryptOptions | undefined
  readonly singleFlight: 'shared' | 'process' | 'off'
  readonly leaseMs: number
  readonly stallMs: number
  readonly onAbandon: 'finish' | 'cancel'
  readonly maxAbandoned: number
  readonly telemetry: boolean | TelemetryOptions
  readonly clock: Clock
  readonly random: () => number
}

export interface ResolvedResponseOptions extends ResolvedOptions {
  /** The ttl of `cache.embeddings()`, unless a call gives another. */
  readonly embeddingsTtlMs: number
  readonly maxTemperature: number
  readonly negativeTtlMs: ReadonlyMap<number, number>
  readonly keys: KeyRules
  readonly prices: Prices
}

const minuteMs = 60_000

export const responseCacheOptionNames: Readonly<Record<keyof ResponseCacheOptions, true>> = {
  ...cacheOptionNames,
  policy: true,
  maxTemperature: true,
  negativeTtl: true,
  keys: true,
  prices: true,
}

/** @throws INVALID_OPTION that names the field. `kind` chooses the environment variable of the default ttl. */
export function resolveOptions(options: CacheOptions, kind: string): ResolvedOptions {
  if (options.compress !== undefined && options.compress !== false) {
    option.members('compress', options.compress, { minBytes: true, algorithm: true })
  }
  if (options.encrypt !== undefined)
    option.members('encrypt', options.encrypt, { keys: true, nameSecret: true })
  return {
    redis: options.redis,
    policy: {
      useCache: true,
      refresh: false,
      onlyIfCached: false,
      tags: [],
      tenant: tenantOf(options.tenant),
      ttlMs: ttlOf(options.ttl, kind),
      maxAgeMs: Number.POSITIVE_INFINITY,
      staleWhileRevalidateMs: durationMs('staleWhileRevalidate', options.staleWhileRevalidate ?? 0),
      graceMs: durationMs('grace', options.grace ?? 0),
      earlyRefresh: within('earlyRefresh', options.earlyRefresh ?? 1, 0, 100),
    },
    jitter: within('jitter', options.jitter ?? 0.1, 0, 0.9),
    admitWithinMs:
      oneOf('admit', options.admit ?? 'always', ['always', 'second-sight']) === 'always'
        ? 0
        : durationMs('admitWithin', options.admitWithin ?? '1h', { minMs: 1 }),
    l1TtlMs: durationMs('l1Ttl', options.l1Ttl ?? '30s', { maxMs: 60 * minuteMs }),
    maxEntries: wholeNumber('maxEntries', options.maxEntries ?? 10_000),
    maxBytes: wholeNumber('maxBytes', options.maxBytes ?? 64 << 20),
    maxEntryBytes: wholeNumber('maxEntryBytes', options.maxEntryBytes ?? 1 << 20),
    compress: options.compress,
    encrypt: options.encrypt,
    singleFlight: oneOf('singleFlight', options.singleFlight ?? 'shared', ['shared', 'process', 'off']),
    leaseMs: durationMs('lease', options.lease ?? '5s', { minMs: 100, maxMs: 10 * minuteMs }),
    stallMs: durationMs('stallTimeout', options.stallTimeout ?? '5m', { minMs: 1 }),
    onAbandon: oneOf('onAbandon', options.onAbandon ?? 'finish', ['finish', 'cancel']),
    maxAbandoned: wholeNumber('maxAbandoned', options.maxAbandoned ?? 64, 0),
    telemetry: resolveTelemetry(options.telemetry ?? true),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  }
}

export function resolveResponseOptions(options: ResponseCacheOptions): ResolvedResponseOptions {
  const { policy = 'always', maxTemperature = 0, negativeTtl = {} } = options
  oneOf('policy', policy, ['always', 'deterministic'])
  if (options.keys !== undefined) option.members('keys', options.keys, keyRuleNames)
  return {
    ...resolveOptions(options, 'llm-responses'),
    embeddingsTtlMs: ttlOf(options.ttl, 'embeddings'),
    maxTemperature:
      policy === 'always' ? Number.POSITIVE_INFINITY : within('maxTemperature', maxTemperature, 0, 100),
    negativeTtlMs: new Map(Object.entries(negativeTtl).map(negative)),
    keys: options.keys ?? {},
    prices: checkPrices(options.prices ?? {}),
  }
}

function tenantOf(tenant: unknown = 'default'): string {
  try {
    return checkSubject('tenant', tenant, 256)
  } catch (cause) {
    const error = new InvalidOptionError('tenant', 'well-formed text of 1 to 256 characters', tenant)
    error.cause = cause
    throw error
  }
}

/** The variable is in seconds, as is usual in operations: CACHE_TTL_SEARCH_RESULTS for the kind `search-results`. */
function ttlOf(ttl: Duration | undefined, kind: string): number {
  if (ttl !== undefined) return durationMs('ttl', ttl, { minMs: 1 })
  const variable = `CACHE_TTL_${kind.toUpperCase().replace(/[^A-Z0-9]+/g, '_')}`
  const told = process.env[variable]
  if (told === undefined || told === '') return defaultTtlMs[kind] ?? 60 * minuteMs
  const seconds = Number(told)
  if (!Number.isFinite(seconds) || seconds <= 0) {
    throw new InvalidOptionError(variable, 'a number of seconds above 0', told)
  }
  return seconds * 1_000
}

const defaultTtlMs: Readonly<Record<string, number>> = {
  'model-metadata': 24 * 60 * minuteMs,
  embeddings: 24 * 60 * minuteMs,
}

function negative([status, ttl]: [string, Duration]): [number, number] {
  const code = wholeNumber('negativeTtl', Number(status), 400, 599)
  return [code, durationMs(`negativeTtl.${status}`, ttl, { minMs: 1 })]
}

function within(field: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number' || !(value >= least && value <= most)) {
    throw new InvalidOptionError(field, `a number from ${least} to ${most}`, value)
  }
  return value
}

function oneOf<T extends string>(field: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value)) {
    throw new InvalidOptionError(field, allowed.map((name) => `'${name}'`).join(', '), value)
  }
  return value
}
