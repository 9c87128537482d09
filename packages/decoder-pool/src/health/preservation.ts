/** Fewer ended leases are node failures; more, and more than the share, at once point to a failing registry. */
const minEnded = 2
const shareEnded = 0.3
/** A smaller clock jump ends no lease of a live node, since leases are renewed three times in their duration. */
const jumpShareOfLease = 0.5
const minJumpMs = 1_000
/** In self-preservation, at most one node or this share of the pool is removed in a minute (as in Eureka). */
const removalShare = 0.15
const minuteMs = 60_000

export type PreservationReason =
  /** The registry can't be reached. */
  | 'registry-away'
  /** The registry was away, and leases could not be renewed. */
  | 'registry-back'
  /** The registry came back older or empty, or lacked known data. */
  | 'registry-lost-data'
  | 'registry-clock-jumped'
  | 'many-leases-ended'

export interface PreservationStatus {
  readonly reason: PreservationReason
  readonly forMs: number
  /** Nodes whose leases have ended, but which are not removed for that. */
  readonly suspects: readonly string[]
}

/** Result of a look at the registry. Ages in milliseconds. */
export interface Sight {
  /** Whether it was read from the registry itself, and not from what was known of it. */
  readonly isAuthoritative: boolean
  readonly nodes: number
  /** Nodes whose leases have ended, and how long ago. */
  readonly expired: ReadonlyMap<string, number>
  /** The data is different or older than at the last look, or some is missing. */
  readonly lostData: boolean
  /** The registry's own time; `undefined` if it has none. */
  readonly timeMs: number | undefined
}

interface Danger {
  readonly since: number
  reason: PreservationReason
  /** Not over before this: only then is it known who renews. */
  until: number
}

/**
 * Decides whether silence counts against nodes. If the registry was away, lost data, its clock jumped, or many leases
 * end at once, the registry or the network has probably failed: then no node is removed only for its silence, probes
 * decide about each suspect, and all countdowns begin anew. It is over when each suspect has renewed its lease or is
 * gone (so it ends, unlike Eureka's). Times are those of the monotonic clock.
 */
export class SelfPreservation {
  readonly #leaseMs: number
  #danger: Danger | undefined
  /** Silence before this time does not count. */
  #countsFrom = Number.NEGATIVE_INFINITY
  #clock: { readonly timeMs: number; readonly at: number } | undefined
  #suspects: readonly string[] = []
  #nodes = 0
  #removals: number[] = []

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  get isOn(): boolean {
    return this.#danger !== undefined
  }

  observe(sight: Sight, now: number): void {
    this.#nodes = sight.nodes
    this.#suspects = [...sight.expired.keys()]
    const reason = this.#dangerIn(sight, now)
    if (reason !== undefined) {
      const until = now + this.#leaseMs
      // After most other dangers many leases end too, which is not a new danger.
      const first = reason === 'many-leases-ended' ? this.#danger?.reason : undefined
      this.#danger = { since: this.#danger?.since ?? now, reason: first ?? reason, until }
      if (first === undefined) this.#countsFrom = now
    }
    const { until = now } = this.#danger ?? {}
    if (sight.isAuthoritative && now >= until && this.#suspects.length === 0) this.#danger = undefined
  }

  /** For how long a node has been silent, as far as that time counts. */
  silentMs(since: number, now: number): number {
    return Math.max(0, now - Math.max(since, this.#countsFrom))
  }

  /** Whether one more may be removed; while on, a few in a minute at most. */
  mayRemove(now: number): boolean {
    if (this.#danger === undefined) return true
    if (this.#danger.reason === 'registry-away') return false
    this.#removals = this.#removals.filter((at) => now - at < minuteMs)
    if (this.#removals.length >= Math.max(1, Math.floor(this.#nodes * removalShare))) return false
    this.#removals.push(now)
    return true
  }

  status(now: number): PreservationStatus | undefined {
    if (this.#danger === undefined) return undefined
    const { reason, since } = this.#danger
    return { reason, forMs: now - since, suspects: this.#suspects }
  }

  #dangerIn(sight: Sight, now: number): PreservationReason | undefined {
    if (!sight.isAuthoritative) return 'registry-away'
    const hasJumped = this.#hasJumped(sight.timeMs, now)
    if (hasJumped) return 'registry-clock-jumped'
    if (sight.lostData) return 'registry-lost-data'
    if (this.#danger?.reason === 'registry-away') return 'registry-back'
    const ended = [...sight.expired.values()].filter((agoMs) => agoMs <= this.#leaseMs).length
    const isMany = ended >= minEnded && ended > sight.nodes * shareEnded
    return isMany ? 'many-leases-ended' : undefined
  }

  /** Whether the registry's time has advanced by another amount than the time here. */
  #hasJumped(timeMs: number | undefined, now: number): boolean {
    const before = this.#clock
    this.#clock = timeMs === undefined ? undefined : { timeMs, at: now }
    if (before === undefined || timeMs === undefined) return false
    const offMs = Math.abs(timeMs - before.timeMs - (now - before.at))
    return offMs > Math.max(minJumpMs, this.#leaseMs * jumpShareOfLease)
  }
}
