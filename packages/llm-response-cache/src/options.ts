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

/** What every cache of this package has. */
export interface CacheOptions {
  /** Where entries live; left out, they live in this process alone. */
  readonly redis?: Connection | undefined
  /** How long an answer is a hit. @default CACHE_TTL_* of the environment in seconds, else '1h' */
  readonly ttl?: Duration | undefined
  /** Tenants, or anything else whose entries must not meet; 1 to 256 characters. @default 'default' */
  readonly tenant?: string | undefined
  /** What is stored together does not end together: times differ by this share of them. @default 0.1 */
  readonly jitter?: number | undefined
  /** How long after its time an answer is still served at once, while it is renewed behind that. @default 0 */
  readonly staleWhileRevalidate?: Duration | undefined
  /** How long after its time an answer is served where the provider fails. @default 0 */
  readonly grace?: Duration | undefined
  /**
   * How eagerly a hot entry is renewed before its time (XFetch's beta): 0 never; with 1 about once, some
   * times the provider's own delay before the end. @default 1
   */
  readonly earlyRefresh?: number | undefined
  /** `second-sight` keeps only what is asked for twice within `admitWithin`. @default 'always' */
  readonly admit?: 'always' | 'second-sight' | undefined
  /** @default '1h' */
  readonly admitWithin?: Duration | undefined
  /** How long this process trusts its own copy of an entry; 0: it asks Redis each time. @default '30s' */
  readonly l1Ttl?: Duration | undefined
  /** Entries that this process holds. @default 10_000 */
  readonly maxEntries?: number | undefined
  /** Bytes that this process holds. @default 64 MiB */
  readonly maxBytes?: number | undefined
  /** An answer that is larger is passed on and not kept. @default 1 MiB */
  readonly maxEntryBytes?: number | undefined
  /** `false` keeps bodies as they are. @default from 8 KiB, where it saves a fifth */
  readonly compress?: CompressionOptions | false | undefined
  /** Seals bodies with AES-256-GCM and hides names. What was stored without is a miss with it. @default none */
  readonly encrypt?: EncryptOptions | undefined
  /** Which equal calls at one time become one: those of all instances, of this process, or none. @default 'shared' */
  readonly singleFlight?: 'shared' | 'process' | 'off' | undefined
  /** After so long without a sign of life of the instance that calls, another one calls. @default '5s' */
  readonly lease?: Duration | undefined
  /**
   * A provider, or a function, that shows no sign of life for this long is given up: its caller gets
   * `ProviderStalledError`, and who waits with him makes a call of his own. @default '5m'
   */
  readonly stallTimeout?: Duration | undefined
  /** What becomes of a call whose callers have all left: it is finished, and kept, or ended. @default 'finish' */
  readonly onAbandon?: 'finish' | 'cancel' | undefined
  /** How many such calls go on at one time; beyond it the oldest ends. @default 64 */
  readonly maxAbandoned?: number | undefined
  readonly telemetry?: boolean | TelemetryOptions | undefined
  readonly clock?: Clock | undefined
  /** From 0 to 1; for tests. @default Math.random */
  readonly random?: (() => number) | undefined
}

export const cacheOptionNames: Readonly<Record<keyof CacheOptions, true>> = {
  ...{ redis: true, ttl: true, tenant: true, jitter: true, staleWhileRevalidate: true, grace: true },
  ...{ earlyRefresh: true, admit: true, admitWithin: true, l1Ttl: true, maxEntries: true, maxBytes: true },
  ...{
    maxEntryBytes: true,
    compress: true,
    encrypt: true,
    singleFlight: true,
    lease: true,
    stallTimeout: true,
  },
  ...{ onAbandon: true, maxAbandoned: true, telemetry: true, clock: true, random: true },
}

export interface ResponseCacheOptions extends CacheOptions {
  /**
   * `deterministic` passes by requests that ask for randomness: a temperature above `maxTemperature`, or
   * several choices without a seed. @default 'always'
   */
  readonly policy?: 'always' | 'deterministic' | undefined
  /** Of `policy: 'deterministic'`; a request that names none counts as 1. @default 0 */
  readonly maxTemperature?: number | undefined
  /** Failures that are kept for a while, by HTTP status: `{ 404: '10s' }`. @default none */
  readonly negativeTtl?: Readonly<Record<number, Duration>> | undefined
  /** Which fields of a request change no answer, and more about keys. */
  readonly keys?: KeyRules | undefined
  /** What the models cost, to tell what was saved. Nothing is built in, since prices age. */
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
  /** Of `cache.embeddings()`, where a call says nothing else. */
  readonly embeddingsTtlMs: number
  readonly maxTemperature: number
  readonly negativeTtlMs: ReadonlyMap<number, number>
  readonly keys: KeyRules
  readonly prices: Prices
}

const minuteMs = 60_000

export const responseCacheOptionNames: Readonly<Record<keyof ResponseCacheOptions, true>> = {
  ...cacheOptionNames,
  ...{ policy: true, maxTemperature: true, negativeTtl: true, keys: true, prices: true },
}

/** @throws INVALID_OPTION that names the field. `kind` chooses the variable that tells the default ttl. */
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

/** Seconds, as operators know them: CACHE_TTL_SEARCH_RESULTS for the kind `search-results`. */
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
