import type { Entry } from './entry.js'

/** What happens to an entry that was found. */
export type Verdict =
  /** Served. */
  | 'fresh'
  /** Served, and renewed in the background: its ttl is nearly over, or `staleWhileRevalidate` applies. */
  | 'renew'
  /** Served only if the provider fails. */
  | 'grace'
  | 'dead'

export interface FreshnessRules {
  /** How long after its ttl an entry is served while it is renewed. */
  readonly staleWhileRevalidateMs: number
  /** Older answers than this are no hits, whatever their ttl. */
  readonly maxAgeMs: number
  /** How eagerly hot entries are renewed before their ttl ends; 0 for not at all. */
  readonly earlyRefresh: number
}

/**
 * Early renewal is probabilistic: the slower an answer was and the nearer its end, the likelier a reader
 * renews it, so that one of many does, shortly before all of them would miss. Vattani, Chierichetti and
 * Lowenstein, "Optimal Probabilistic Cache Stampede Prevention" (VLDB 2015). Pure; `random` is from 0 to 1.
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
    // Most reads are far from the end, and are decided without a logarithm.
    if (now + lead * furthest < entry.freshUntilMs) return 'fresh'
    return now - lead * Math.log(1 - random()) >= entry.freshUntilMs ? 'renew' : 'fresh'
  }
  return now < entry.freshUntilMs + staleWhileRevalidateMs ? 'renew' : 'grace'
}

/** -ln of a probability of 1e-13, which never happens in practice. */
const furthest = 30

/** Varies a ttl by up to the share `jitter` in both directions, so that entries stored together do not end together. */
export function jittered(ttlMs: number, jitter: number, random: () => number): number {
  return Math.max(1, Math.round(ttlMs * (1 + jitter * (2 * random() - 1))))
}
