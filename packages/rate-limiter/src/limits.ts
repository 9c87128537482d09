import { type Duration, durationMs, InvalidOptionError, wholeNumber } from '@evenkeel/core'

interface Common {
  readonly limit: number
  /**
   * What is counted, as provider headers and `RateLimit-Policy` name it: `'requests'`, `'tokens'`, …
   * @default the name of the limit
   */
  readonly unit?: string | undefined
}

/** Quota that an instance takes from Redis in advance and decides from in memory. */
export interface QuotaLease {
  /** Units of a block; left out, what the recent traffic needs in a lease's time. */
  readonly size: number | undefined
  /** How long a block may be spent, in milliseconds. */
  readonly forMs: number
}

/** At most `limit` units in any rolling window of `windowMs`. */
export interface SlidingWindow extends Common {
  readonly kind: 'sliding-window'
  readonly windowMs: number
  readonly lease?: QuotaLease | undefined
}

/** At most `limit` units in each window of `windowMs`: up to twice as many across the edge of two. */
export interface FixedWindow extends Common {
  readonly kind: 'fixed-window'
  readonly windowMs: number
  readonly align: 'clock' | 'first-use'
  readonly lease?: QuotaLease | undefined
}

/** A bucket of `limit` units that refills by `refill` every `everyMs`. */
export interface TokenBucket extends Common {
  readonly kind: 'token-bucket'
  readonly refill: number
  readonly everyMs: number
  readonly lease?: QuotaLease | undefined
}

/** At most `limit` units held at once; a holder that does not renew within `leaseMs` gives back by itself. */
export interface Concurrency extends Common {
  readonly kind: 'concurrency'
  readonly leaseMs: number
}

export type Limit = SlidingWindow | FixedWindow | TokenBucket | Concurrency

/** Products of a limit's numbers must stay exact, in JavaScript as in Lua. */
const exact = Number.MAX_SAFE_INTEGER

export interface UnitOptions {
  /** What is counted: `'requests'`, `'tokens'`, … @default the name of the limit */
  readonly unit?: string | undefined
}

export interface LeaseOptions extends UnitOptions {
  /**
   * Takes blocks of the quota from Redis in advance and decides from them in memory. The limit holds all the
   * same. It costs at most a twentieth of the throughput, and a call may be denied while other instances
   * hold unspent units: at most half of what remained when they took them.
   * `maxIdle` is how long a block may be spent, at most a twentieth of the window.
   * @default false
   */
  readonly lease?: boolean | { readonly size?: number; readonly maxIdle?: Duration } | undefined
}

/**
 * At most `limit` units in any rolling window: the exact log up to 128 units, slots of a sixtieth of the
 * window above (a unit is then held up to a slot longer, never shorter).
 */
export function slidingWindow(limit: number, per: Duration, options: LeaseOptions = {}): SlidingWindow {
  const windowMs = whole('per', durationMs('per', per, { minMs: 1 }))
  return {
    kind: 'sliding-window',
    limit: wholeNumber('limit', limit),
    windowMs,
    ...unitOf(options),
    ...leaseOf(options, windowMs),
  }
}

export interface FixedWindowOptions extends LeaseOptions {
  /**
   * `'clock'`: windows start at multiples of their length since 1970, so that a day is a UTC day.
   * `'first-use'`: each subject's window starts with its first charge. @default 'clock'
   */
  readonly align?: 'clock' | 'first-use' | undefined
}

/** At most `limit` units in each window: for quotas that are billed so. Across an edge twice as many may pass. */
export function fixedWindow(limit: number, per: Duration, options: FixedWindowOptions = {}): FixedWindow {
  const windowMs = whole('per', durationMs('per', per, { minMs: 1 }))
  const align = options.align ?? 'clock'
  if (align !== 'clock' && align !== 'first-use')
    throw new InvalidOptionError('align', "'clock' or 'first-use'", align)
  return {
    kind: 'fixed-window',
    limit: wholeNumber('limit', limit),
    windowMs,
    align,
    ...unitOf(options),
    ...leaseOf(options, windowMs),
  }
}

export interface TokenBucketOptions extends LeaseOptions {
  readonly capacity: number
  /** Units that come back every `every`, evenly. */
  readonly refill: number
  readonly every: Duration
}

/** Bursts up to `capacity`, then `refill` units every `every`, evenly. */
export function tokenBucket(options: TokenBucketOptions): TokenBucket {
  const everyMs = whole('every', durationMs('every', options.every, { minMs: 1 }))
  const limit = wholeNumber('capacity', options.capacity)
  const refill = wholeNumber('refill', options.refill)
  if (2 * limit * everyMs > exact || refill * everyMs > exact) {
    throw new InvalidOptionError('capacity', `capacity times every (in ms) under ${exact / 2}`, limit)
  }
  const fillMs = (limit * everyMs) / refill
  return {
    kind: 'token-bucket',
    limit,
    refill,
    everyMs,
    ...unitOf(options),
    ...leaseOf(options, fillMs),
  }
}

export interface ConcurrencyOptions extends UnitOptions {
  /** How long a slot stays held without a sign of life; holders renew it by themselves. @default '1m' */
  readonly lease?: Duration | undefined
}

/** At most `limit` units held at once, by `reserve` and `run`. A crashed holder's slot is free after `lease`. */
export function concurrency(limit: number, options: ConcurrencyOptions = {}): Concurrency {
  const leaseMs = whole('lease', durationMs('lease', options.lease ?? '1m', { minMs: 100 }))
  return { kind: 'concurrency', limit: wholeNumber('limit', limit, 1, 100_000), leaseMs, ...unitOf(options) }
}

const kinds = ['sliding-window', 'fixed-window', 'token-bucket', 'concurrency']

export function isLimit(value: unknown): value is Limit {
  const limit = value as Limit | null | undefined
  return typeof limit === 'object' && limit !== null && kinds.includes(limit.kind) && limit.limit > 0
}

function unitOf({ unit }: UnitOptions): { readonly unit?: string } {
  if (unit === undefined) return {}
  if (typeof unit !== 'string' || !/^[a-z][a-z0-9-]*$/.test(unit)) {
    throw new InvalidOptionError('unit', 'lower-case letters, digits and dashes', unit)
  }
  return { unit }
}

/** Longer leases would hold back more than a twentieth of what the window lets through. */
const leasesPerWindow = 20
const maxLeaseMs = 5_000

function leaseOf({ lease }: LeaseOptions, windowMs: number): { readonly lease?: QuotaLease } {
  if (lease === undefined || lease === false) return {}
  const maxMs = Math.min(maxLeaseMs, Math.floor(windowMs / leasesPerWindow))
  if (maxMs < 10) throw new InvalidOptionError('lease', 'a window of at least 200 ms', windowMs)
  if (lease === true) return { lease: { size: undefined, forMs: maxMs } }
  if (typeof lease !== 'object') throw new InvalidOptionError('lease', 'true or { size, maxIdle }', lease)
  const { size, maxIdle } = lease
  return {
    lease: {
      size: size === undefined ? undefined : wholeNumber('lease.size', size),
      forMs:
        maxIdle === undefined
          ? maxMs
          : whole('lease.maxIdle', durationMs('lease.maxIdle', maxIdle, { minMs: 10, maxMs: maxMs })),
    },
  }
}

function whole(field: string, ms: number): number {
  if (!Number.isInteger(ms)) throw new InvalidOptionError(field, 'whole milliseconds', ms)
  return ms
}
