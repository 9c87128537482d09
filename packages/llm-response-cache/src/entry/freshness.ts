import type { Entry } from './entry.js'

/** What becomes of an entry that was found. */
export type Verdict =
  /** Served. */
  | 'fresh'
  /** Served, and called for anew behind it: its time is nearly over, or it may be served while it is renewed. */
  | 'renew'
  /** Served only if the provider fails. */
  | 'grace'
  | 'dead'

export interface FreshnessRules {
  /** How long after its time an entry is served while it is renewed. */
  readonly staleWhileRevalidateMs: number
  /** Older answers than this are not wanted, whatever their ttl. */
  readonly maxAgeMs: number
  /** How eagerly hot entries are renewed before their time; 0 for not at all. */
  readonly earlyRefresh: number
}

/**
 * Early renewal is probabilistic: the dearer an answer was and the nearer its end, the likelier a reader
 * renews it, so that one of many does, shortly before all of them would miss. Vattani, Chierichetti and
 * Lowenstein, "Optimal Probabilistic Cache Versionede Prevention" (VLDB 2015). Pure; `random` is from 0 to 1.
 */
export function judge(
  entry: Pick<Entry, 'createdAtMs' | 'freshUntilMs' | 'deadAtMs' | 'costMs'>,
  now: number,
  { staleWhileRevalidateMs, maxAgeMs, earlyRefresh }: FreshnessRules,
  random: () => number,
): Verdict {
  if (now >= entry.deadAtMs) return 'dead'
  if (now - entry.createdAtMs > maxAgeMs) return 'grace'
  if (now < entry.freshUntilMs) {
    if (earlyRefresh === 0) return 'fresh'
    const lead = entry.costMs * earlyRefresh
    // Most readers are far from the end, and need no logarithm to know it.
    if (now + lead * furthest < entry.freshUntilMs) return 'fresh'
    return now - lead * Math.log(1 - random()) >= entry.freshUntilMs ? 'renew' : 'fresh'
  }
  return now < entry.freshUntilMs + staleWhileRevalidateMs ? 'renew' : 'grace'
}

/** -ln of what happens once in ten million million. */
const furthest = 30

/** Spread by up to `jitter` of it to both sides, so that what was stored together does not end together. */
export function jittered(ttlMs: number, jitter: number, random: () => number): number {
  return Math.max(1, Math.round(ttlMs * (1 + jitter * (2 * random() - 1))))
}
