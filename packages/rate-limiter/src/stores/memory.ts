import { type Clock, systemClock } from '@evenkeel/core'
import QuickLRU from 'quick-lru'
import { type Share, shareOf } from '../algorithms/share.js'
import {
  chargeWindow,
  emptyWindow,
  judgeWindow,
  type SlidingWindowState,
  windowAt,
} from '../algorithms/sliding-window.js'
import {
  bucketAt,
  chargeBucket,
  fullBucket,
  judgeBucket,
  type TokenBucketState,
} from '../algorithms/token-bucket.js'
import type { Verdict } from '../algorithms/verdict.js'
import type { Limit } from '../options.js'
import type { Decision, Demand, LimitStore } from '../store.js'

type State = SlidingWindowState | TokenBucketState

const alone: Share = { instances: 1 }

export interface MemoryLimitStoreOptions {
  /** Limits of subjects that are kept; beyond it the least recently used are forgotten. @default 10_000 */
  readonly maxEntries?: number
  /** Asked at each decision, since instances come and go. @default the whole of every limit */
  readonly share?: () => Share
  readonly clock?: Clock
}

/** The limits in this process: exact for one instance, a share of them for several. */
export class MemoryLimitStore implements LimitStore {
  readonly #states: QuickLRU<string, State>
  readonly #share: () => Share
  readonly #clock: Clock

  constructor({
    maxEntries = 10_000,
    share = () => alone,
    clock = systemClock,
  }: MemoryLimitStoreOptions = {}) {
    // quick-lru holds up to twice its maximum.
    this.#states = new QuickLRU({ maxSize: Math.max(1, Math.floor(maxEntries / 2)) })
    this.#share = share
    this.#clock = clock
  }

  /** Limits of subjects that are remembered. */
  get size(): number {
    return this.#states.size
  }

  async decide(subject: string, demands: readonly Demand[], peek: boolean): Promise<Decision> {
    const now = Math.floor(this.#clock.now())
    const part = this.#share()
    const judged = demands.map(({ name, limit, cost }) => {
      const key = keyOf(subject, name)
      const share = shareOf(limit, part)
      return { key, share, cost, ...judge(this.#states.get(key), share, now, cost) }
    })
    const allowed = judged.every(({ verdict }) => verdict.allowed)
    const verdicts = allowed ? judged.map(({ verdict }) => verdict) : judged.map((one) => uncharged(one, now))
    if (allowed && !peek) {
      for (const { key, share, cost, state } of judged) {
        if (cost > 0) this.#states.set(key, charge(state, share, now, cost))
      }
    }
    return { allowed, verdicts }
  }

  /** Takes note of what Redis admitted, so that an outage does not hand this instance a fresh limit. */
  note(subject: string, demands: readonly Demand[]): void {
    const now = Math.floor(this.#clock.now())
    for (const { name, limit, cost } of demands) {
      if (cost === 0) continue
      const key = keyOf(subject, name)
      const { state } = judge(this.#states.get(key), limit, now, 0)
      this.#states.set(key, charge(state, limit, now, cost))
    }
  }

  async reset(subject: string, demands: readonly Pick<Demand, 'name'>[]): Promise<void> {
    for (const { name } of demands) this.#states.delete(keyOf(subject, name))
  }
}

function keyOf(subject: string, name: string): string {
  return `${name}\0${subject}`
}

function judge(
  known: State | undefined,
  limit: Limit,
  now: number,
  cost: number,
): { state: State; verdict: Verdict } {
  if (limit.kind === 'sliding-window') {
    const state = windowAt(known !== undefined && 'slots' in known ? known : emptyWindow, limit, now)
    return { state, verdict: judgeWindow(state, limit, now, cost) }
  }
  const state = bucketAt(known !== undefined && 'level' in known ? known : fullBucket, limit, now)
  return { state, verdict: judgeBucket(state, limit, now, cost) }
}

function charge(state: State, limit: Limit, now: number, cost: number): State {
  if (limit.kind === 'sliding-window') {
    return 'slots' in state ? chargeWindow(state, limit, now, cost) : state
  }
  return 'level' in state ? chargeBucket(state, limit, cost) : state
}

/** When another limit denies the call, this one was not charged: what remains is what there is without it. */
function uncharged(
  { state, share, verdict }: { state: State; share: Limit; verdict: Verdict },
  now: number,
): Verdict {
  return verdict.allowed ? judge(state, share, now, 0).verdict : verdict
}
