import { type Duration, InvalidOptionError } from '@evenkeel/core'
import { durationMs, wholeNumber } from '@evenkeel/core/kit'

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
  /** Units of a block. If `undefined`, as many as recent traffic needs within `forMs`. */
  readonly size: number | undefined
  /** How long the units of a block may be spent, in milliseconds. */
  readonly forMs: number
}

/** At most `limit` units in any rolling window of `windowMs`. */
export interface SlidingWindow extends Common {
  readonly kind: 'sliding-window'
  readonly windowMs: number
  readonly lease?: QuotaLease | undefined
}

/** At most `limit` units in each window of `windowMs`; around the edge of two windows, up to twice as many. */
export interface FixedWindow extends Common {
  readonly kind: 'fixed-window'
  readonly windowMs: number
  readonly align: 'clock' | 'first-use'
  readonly lease?: QuotaLease | undefined
}

/** A bucket that holds up to `limit` units and refills by `refill` every `everyMs`. */
export interface TokenBucket extends Common {
  readonly kind: 'token-bucket'
  readonly refill: number
  readonly everyMs: number
  readonly lease?: QuotaLease | undefined
}

/** At most `limit` units held at the same time. A holder that does not renew within `leaseMs` loses its slot. */
export interface Concurrency extends Common {
  readonly kind: 'concurrency'
  readonly leaseMs: number
}

export type Limit = SlidingWindow | FixedWindow | TokenBucket | Concurrency

/** The highest limit of a `concurrency`. */
const maxSlots = 100_000
const minLeaseMs = 100

/** Products of a limit's numbers must be exact integers, in JavaScript and in Lua. */
const exact = Number.MAX_SAFE_INTEGER

export interface UnitOptions {
  /** What is counted: `'requests'`, `'tokens'`, … @default the name of the limit */
  readonly unit?: string | undefined
}

export interface LeaseOptions extends UnitOptions {
  /**
   * Takes blocks of quota from Redis in advance and decides from them in memory. The limit is still exact. It costs at
   * most a twentieth of the throughput, and a call may be denied while other instances hold unspent units: at most
   * half of what remained when they took them. `size` is the units of a block, by default what recent traffic needs.
   * `maxIdle` is how long a block may be spent: at least 10 ms, at most (and by default) a twentieth of the window or
   * 5 s, whichever is shorter.
   * @default false
   */
  readonly lease?: boolean | { readonly size?: number; readonly maxIdle?: Duration } | undefined
}

/**
 * At most `limit` units in any rolling window. An exact log for up to 128 units; above, slots of a sixtieth of the
 * window (a unit then counts up to one slot longer, never shorter).
 * @throws InvalidOptionError for a limit or a duration that is not valid
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
   * `'first-use'`: the window of each subject starts with its first charge. @default 'clock'
   */
  readonly align?: 'clock' | 'first-use' | undefined
}

/**
 * At most `limit` units in each window, for quotas that are billed by window. Around the edge of two windows, up to
 * twice as many pass.
 * @throws InvalidOptionError for a limit, a duration or an alignment that is not valid
 */
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
  /** Units that are refilled in each `every`, evenly spread. */
  readonly refill: number
  readonly every: Duration
}

/**
 * Bursts of up to `capacity`, then `refill` units in each `every`, evenly spread. A rate that is too fine for exact
 * integers (in lowest terms, capacity times milliseconds above 4.5 * 10^15, or refill times milliseconds above
 * 9 * 10^15) is rounded down.
 * @throws InvalidOptionError for a number or a duration that is not valid
 */
export function tokenBucket(options: TokenBucketOptions): TokenBucket {
  const everyMs = whole('every', durationMs('every', options.every, { minMs: 1 }))
  const limit = wholeNumber('capacity', options.capacity)
  const refill = wholeNumber('refill', options.refill)
  const rate = exactRate(limit, refill, everyMs)
  if (rate === undefined)
    throw new InvalidOptionError(
      'capacity',
      `at most ${Math.floor(exact / 4)}, with a rate from a unit a day`,
      limit,
    )
  return {
    kind: 'token-bucket',
    limit,
    ...rate,
    ...unitOf(options),
    ...leaseOf(options, (limit * everyMs) / refill),
  }
}

/** Levels are counted in units of 1/everyMs: the products of the limit (twice) and of the refill must be exact. */
function isExact(limit: number, refill: number, everyMs: number): boolean {
  return 2 * limit * everyMs <= exact && refill * everyMs <= exact
}

/** The rate itself if it can be kept exactly, else in its lowest terms, else a lower rate that can. */
function exactRate(
  limit: number,
  refill: number,
  everyMs: number,
): { readonly refill: number; readonly everyMs: number } | undefined {
  if (isExact(limit, refill, everyMs)) return { refill, everyMs }
  const divisor = commonDivisor(refill, everyMs)
  const [ownRefill, ownEveryMs] = [refill / divisor, everyMs / divisor]
  if (isExact(limit, ownRefill, ownEveryMs)) return { refill: ownRefill, everyMs: ownEveryMs }
  const rate = refill / everyMs
  const coarseMs = Math.min(
    Math.floor(exact / (2 * limit)),
    Math.floor(Math.sqrt(exact / Math.max(rate, 1e-9))),
  )
  const coarse = Math.floor(rate * coarseMs)
  return coarse >= 1 && coarseMs >= 1 && isExact(limit, coarse, coarseMs)
    ? { refill: coarse, everyMs: coarseMs }
    : undefined
}

function commonDivisor(one: number, other: number): number {
  return other === 0 ? one : commonDivisor(other, one % other)
}

export interface ConcurrencyOptions extends UnitOptions {
  /** How long a slot stays held without renewal, at least 100 ms. Holders renew automatically. @default '1m' */
  readonly lease?: Duration | undefined
}

/**
 * At most `limit` slots (up to 100,000) held at once, by `reserve`, `acquire` and `run`. A crashed holder loses its
 * slot after `lease`.
 * @throws InvalidOptionError for a limit or a lease that is not valid
 */
export function concurrency(limit: number, options: ConcurrencyOptions = {}): Concurrency {
  const leaseMs = whole('lease', durationMs('lease', options.lease ?? '1m', { minMs: minLeaseMs }))
  return { kind: 'concurrency', limit: wholeNumber('limit', limit, 1, maxSlots), leaseMs, ...unitOf(options) }
}

/** The members of each kind of limit, and the function that creates it. */
const shapes = {
  'sliding-window': { made: 'slidingWindow(60, …)', numbers: ['windowMs'] },
  'fixed-window': { made: 'fixedWindow(60, …)', numbers: ['windowMs'] },
  'token-bucket': { made: 'tokenBucket({ capacity, refill, every })', numbers: ['refill', 'everyMs'] },
  concurrency: { made: 'concurrency(8)', numbers: ['leaseMs'] },
} as const

/**
 * Checks a limit that may have been written by hand, or read from JSON.
 * @throws InvalidOptionError that names the limit and the function that creates it
 */
export function checkLimit(field: string, limit: Limit): void {
  const { kind } = (limit ?? {}) as { readonly kind?: unknown }
  if (typeof kind !== 'string' || !Object.hasOwn(shapes, kind))
    throw new InvalidOptionError(
      field,
      'slidingWindow(…), tokenBucket(…), fixedWindow(…) or concurrency(…)',
      limit,
    )
  const { made, numbers } = shapes[kind as Limit['kind']]
  const members = limit as unknown as Readonly<Record<string, unknown>>
  const wrong = (member: string) =>
    new InvalidOptionError(`${field}.${member}`, `a limit made by ${made}`, members[member])
  const known = ['kind', 'limit', 'unit', ...numbers]
  if (kind === 'fixed-window') known.push('align')
  if (kind !== 'concurrency') known.push('lease')
  for (const member of Object.keys(members)) if (!known.includes(member)) throw wrong(member)
  for (const member of ['limit', ...numbers]) if (!isPositive(members[member])) throw wrong(member)
  const { unit, align, lease } = members
  if (unit !== undefined && !isUnit(unit)) throw wrong('unit')
  if (kind === 'fixed-window' && align !== 'clock' && align !== 'first-use') throw wrong('align')
  if (limit.kind === 'concurrency' && (limit.limit > maxSlots || limit.leaseMs < minLeaseMs))
    throw wrong('limit')
  if (limit.kind === 'token-bucket' && !isExact(limit.limit, limit.refill, limit.everyMs))
    throw wrong('limit')
  if (lease !== undefined && !isLease(lease, windowMsOf(limit))) throw wrong('lease')
}

function isPositive(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0
}

function isUnit(value: unknown): boolean {
  return typeof value === 'string' && /^[a-z][a-z0-9-]*$/.test(value)
}

function isLease(value: unknown, windowMs: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { size, forMs } = value as Partial<QuotaLease>
  return (
    (size === undefined || isPositive(size)) && isPositive(forMs) && (forMs as number) <= maxLeaseOf(windowMs)
  )
}

/** Milliseconds in which a limit admits its units; for a `concurrency`, its lease. */
export function windowMsOf(limit: Limit): number {
  switch (limit.kind) {
    case 'token-bucket':
      return Math.ceil((limit.limit * limit.everyMs) / limit.refill)
    case 'concurrency':
      return limit.leaseMs
    default:
      return limit.windowMs
  }
}

function unitOf({ unit }: UnitOptions): { readonly unit?: string } {
  if (unit === undefined) return {}
  if (!isUnit(unit)) throw new InvalidOptionError('unit', 'lower-case letters, digits and dashes', unit)
  return { unit }
}

/** Longer leases would withhold more than a twentieth of what a window admits. */
const leasesPerWindow = 20
const maxLeaseMs = 5_000

function maxLeaseOf(windowMs: number): number {
  return Math.min(maxLeaseMs, Math.floor(windowMs / leasesPerWindow))
}

function leaseOf({ lease }: LeaseOptions, windowMs: number): { readonly lease?: QuotaLease } {
  if (lease === undefined || lease === false) return {}
  const maxMs = maxLeaseOf(windowMs)
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
