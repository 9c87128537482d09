import type { Clock } from '@evenkeel/core'
import { systemClock } from '@evenkeel/core/kit'
import {
  type Batch,
  type BatchResult,
  type Coordinator,
  type HeartbeatReply,
  offerMs,
  type SlotCounts,
  type SlotRequest,
  type SlotStore,
} from './port.js'

interface Owner {
  readonly coordinator: Coordinator
  readonly held: Map<string, number>
  /** Since when its oldest request of each requirement waits. */
  readonly waiting: Map<string, number>
  expiresAt: number
  sequence: number
}

export interface MemorySlotStoreOptions {
  readonly clock?: Clock | undefined
}

/** Slots that several coordinators of one process share. */
export class MemorySlotStore implements SlotStore {
  readonly #clock: Clock
  readonly #owners = new Map<string, Owner>()
  readonly #offers = new Map<string, number>()

  constructor({ clock = systemClock }: MemorySlotStoreOptions = {}) {
    this.#clock = clock
  }

  async heartbeat(
    me: Coordinator,
    sequence: number,
    held: SlotCounts,
    leaseMs: number,
  ): Promise<HeartbeatReply> {
    const now = this.#now()
    // If no lease is live, the store was away: coordinators that are alive get a moment to renew.
    const wasAway = [...this.#owners.values()].every(({ expiresAt }) => expiresAt <= now)
    const before = this.#owners.get(me.id)
    const known = before === undefined || before.sequence < sequence
    if (known) {
      this.#owners.set(me.id, {
        coordinator: me,
        held: new Map([...held].filter(([, count]) => count > 0)),
        waiting: before?.waiting ?? new Map(),
        expiresAt: now + leaseMs,
        sequence,
      })
    }
    const ended = [...this.#owners.values()].filter(({ expiresAt }) => expiresAt <= now)
    if (!wasAway) for (const { coordinator } of ended) this.#owners.delete(coordinator.id)
    return {
      known,
      live: [...this.#owners.values()]
        .filter((owner) => !ended.includes(owner))
        .map(({ coordinator, expiresAt }) => ({
          ...coordinator,
          leftMs: expiresAt - now,
        })),
      totals: this.#totals(),
      hadLost: before === undefined || wasAway,
    }
  }

  async take(me: Coordinator, batch: Batch): Promise<BatchResult> {
    const now = this.#now()
    const owner = this.#owners.get(me.id)
    if (owner === undefined || owner.sequence >= batch.sequence) {
      return { known: false, given: [], totals: new Map(), othersWait: false }
    }
    owner.sequence = batch.sequence
    for (const [node, count] of batch.held) set(owner.held, node, count)
    owner.waiting.clear()
    for (const [requirement, ms] of batch.waiting) owner.waiting.set(requirement, now - Math.floor(ms))
    const others = this.#waitOfOthers(owner, now)
    const othersWait = [...this.#owners.values()].some((one) => one !== owner && one.waiting.size > 0)
    const totals = new Map<string, number>([...batch.held.keys()].map((node) => [node, this.#total(node)]))
    const lost = new Set<string>()
    const given = batch.requests.map((request) => {
      const index = lost.has(request.requirement) ? -1 : this.#choose(request, others, totals, now)
      const node = request.candidates[index]?.node
      if (node === undefined) lost.add(request.requirement)
      else {
        set(owner.held, node, (owner.held.get(node) ?? 0) + 1)
        totals.set(node, this.#total(node))
        if (othersWait) this.#offers.delete(node)
      }
      return index
    })
    return { known: true, given, totals, othersWait }
  }

  async leave(me: Coordinator): Promise<void> {
    this.#owners.delete(me.id)
  }

  #choose(
    { candidates, requirement, waitedMs }: SlotRequest,
    others: SlotCounts,
    totals: Map<string, number>,
    now: number,
  ): number {
    const since = now - Math.floor(waitedMs)
    return candidates.findIndex(({ node, capacity }) => {
      const total = this.#total(node)
      totals.set(node, total)
      return total < capacity && !this.#isKept(requirement, since, node, others, now)
    })
  }

  /** Whether a slot is kept for a moment for another coordinator's request that has waited longer. */
  #isKept(requirement: string, since: number, node: string, others: SlotCounts, now: number): boolean {
    const oldest = others.get(requirement)
    if (oldest === undefined || oldest >= since - offerMs) return false
    const offered = this.#offers.get(node) ?? now
    if (now - offered > offerMs) return false
    this.#offers.set(node, offered)
    return true
  }

  #waitOfOthers(me: Owner, now: number): SlotCounts {
    const oldest = new Map<string, number>()
    for (const owner of this.#owners.values()) {
      if (owner === me || owner.expiresAt <= now) continue
      for (const [requirement, since] of owner.waiting) {
        oldest.set(requirement, Math.min(since, oldest.get(requirement) ?? Number.POSITIVE_INFINITY))
      }
    }
    return oldest
  }

  #total(node: string): number {
    let total = 0
    for (const { held } of this.#owners.values()) total += held.get(node) ?? 0
    return total
  }

  #totals(): SlotCounts {
    const totals = new Map<string, number>()
    for (const { held } of this.#owners.values()) {
      for (const [node, count] of held) totals.set(node, (totals.get(node) ?? 0) + count)
    }
    return totals
  }

  #now(): number {
    return Math.floor(this.#clock.monotonic())
  }
}

function set(counts: Map<string, number>, node: string, count: number): void {
  if (count > 0) counts.set(node, count)
  else counts.delete(node)
}
