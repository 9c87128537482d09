import type { Clock } from '@evenkeel/core'
import { shareOf } from './share.js'
import type { Coordinator, Gauges } from './store.js'

/** What a coordinator knew when it could last ask. */
export interface Cut {
  readonly live: readonly Coordinator[]
  /** What it held itself. */
  readonly held: Gauges
  /** What all held. */
  readonly totals: Gauges
  /** On the monotonic clock. */
  readonly at: number
}

/**
 * How many requests a coordinator may have on a node while it can ask nobody. Counts hold as they were at the cut:
 * whoever had a slot may fill it again. What was free then is divided among all, or left free where the sum must not
 * exceed the capacity by what others took since this one last heard of them. When the requests of that time have
 * ended, each keeps to its even share.
 */
export class OwnLimits {
  readonly #me: string
  readonly #clock: Clock
  readonly #drainMs: number
  readonly #isStrict: boolean
  #cut: Cut | undefined

  /** @param drainMs after so long requests that were under way at the cut have ended */
  constructor(me: string, clock: Clock, drainMs: number, isStrict: boolean) {
    this.#me = me
    this.#clock = clock
    this.#drainMs = drainMs
    this.#isStrict = isStrict
  }

  /** Nobody can be asked from here on. */
  begin(cut: Cut): void {
    this.#cut = cut
  }

  end(): void {
    this.#cut = undefined
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
