import type { Clock } from '@evenkeel/core'
import { type Coordinator, type LiveCoordinator, leaseMs, type SlotCounts } from './port.js'
import { shareOf } from './share.js'

/** What a coordinator knew when it could last reach Redis. */
export interface Cut {
  readonly live: readonly Coordinator[]
  /** What it held itself. */
  readonly held: SlotCounts
  /** What all held. */
  readonly totals: SlotCounts
  /** On the monotonic clock. */
  readonly at: number
}

/**
 * How many requests a coordinator may have on a node while it can't reach Redis. Counts stay as they were at the cut: a
 * coordinator that had a slot may fill it again. Slots that were free then are divided among all, or stay free if the
 * capacity must not be exceeded by what others took since their last report. When the requests of that time have ended,
 * each coordinator keeps to its even share.
 */
export class OutageQuota {
  readonly #me: string
  readonly #clock: Clock
  readonly #drainMs: number
  readonly #isStrict: boolean
  #cut: Cut | undefined
  /** Set when Redis is back: who may still count for itself, and since when Redis is back (monotonic). */
  #unheard: { readonly ids: Set<string>; readonly since: number } | undefined

  /** @param drainMs time after which all requests that were in flight at the cut have ended */
  constructor(me: string, clock: Clock, drainMs: number, isStrict: boolean) {
    this.#me = me
    this.#clock = clock
    this.#drainMs = drainMs
    this.#isStrict = isStrict
  }

  /** Whether Redis is back, but not all others have reported yet: then both its counts and the limits apply. */
  get isWaiting(): boolean {
    return this.#unheard !== undefined
  }

  /** From now on, this coordinator keeps to what was its own. */
  begin(cut: Cut): void {
    this.#cut = cut
  }

  /** Redis is back since then, but coordinators that have not reported yet may still count for themselves. */
  back(since: number): void {
    if (this.#cut === undefined) return
    const others = this.#cut.live.map(({ id }) => id).filter((id) => id !== this.#me)
    this.#unheard = { ids: new Set(others), since }
  }

  /** The coordinators that live now. When all have reported, nothing is limited any more. */
  hear(live: readonly LiveCoordinator[]): void {
    if (this.#unheard === undefined) return
    const { ids, since } = this.#unheard
    const backForMs = this.#clock.monotonic() - since
    for (const { id, leftMs } of live) if (leaseMs - leftMs < backForMs) ids.delete(id)
    // A living coordinator would have renewed its lease by now.
    if (ids.size === 0 || backForMs > leaseMs) this.end()
  }

  end(): void {
    this.#cut = undefined
    this.#unheard = undefined
  }

  of(node: string, capacity: number): number {
    const cut = this.#cut
    if (cut === undefined || cut.live.length <= 1) return capacity
    if (this.#clock.monotonic() - cut.at >= this.#drainMs) {
      return shareOf({ node, capacity }, this.#me, cut.live)
    }
    const held = cut.held.get(node) ?? 0
    if (this.#isStrict) return Math.min(capacity, held)
    const free = Math.max(0, capacity - (cut.totals.get(node) ?? 0))
    return Math.min(capacity, held + shareOf({ node, capacity: free }, this.#me, cut.live))
  }
}
