import type { Clock } from '@evenkeel/core'
import { type Coordinator, type LiveCoordinator, leaseMs, type SlotCounts } from './port.js'
import { shareOf } from './share.js'

/** What a coordinator knew when it could last ask. */
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
 * How many requests a coordinator may have on a node while it can't ask the others. Counts hold as they were at the cut:
 * a coordinator that had a slot may fill it again. What was free then is divided among all, or left free where the sum must not
 * exceed the capacity by what others took since their last report. When the requests of that time have
 * ended, each keeps to its even share.
 */
export class OutageQuota {
  readonly #me: string
  readonly #clock: Clock
  readonly #drainMs: number
  readonly #isStrict: boolean
  #cut: Cut | undefined
  /** Since Redis is back: who may still count for himself, and since when that is, on the monotonic clock. */
  #unheard: { readonly ids: Set<string>; readonly since: number } | undefined

  /** @param drainMs after so long requests that were under way at the cut have ended */
  constructor(me: string, clock: Clock, drainMs: number, isStrict: boolean) {
    this.#me = me
    this.#clock = clock
    this.#drainMs = drainMs
    this.#isStrict = isStrict
  }

  /** Whether Redis is back, and not all others have reported yet: the limits hold beside what it says. */
  get isWaiting(): boolean {
    return this.#unheard !== undefined
  }

  /** From here on each keeps to what was its own. */
  begin(cut: Cut): void {
    this.#cut = cut
  }

  /** Redis can be asked again since then; but those who have not told it yet what they hold may count for themselves. */
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
