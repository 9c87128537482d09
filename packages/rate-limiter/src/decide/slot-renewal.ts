import { createLog, type Heartbeat, heartbeat } from '@evenkeel/core/kit'
import { SlotLostError } from '../errors.js'
import type { HeldSlot } from '../stores/port.js'

const log = createLog('rate-limiter')

interface HeldSlots {
  readonly slots: readonly HeldSlot[]
  readonly lost: AbortController
}

type Renew = (slots: readonly HeldSlot[]) => Promise<readonly boolean[]>

/** Renews the slots that this process holds, all together, three times within the shortest of their leases. */
export class SlotRenewal {
  readonly #held = new Map<string, HeldSlots>()
  readonly #renew: Renew
  readonly #heartbeat: Heartbeat
  /** The lease for which the next beat is scheduled. */
  #leaseMs = 0

  constructor(renew: Renew) {
    this.#renew = renew
    this.#heartbeat = heartbeat({
      everyMs: () => {
        this.#leaseMs = this.#shortestLeaseMs()
        return this.#leaseMs / 3
      },
      beat: () => this.#renewAll(),
      // Redis is away, and memory must not answer (`onOutage`): the leases run on, and the next beat tries again.
      onError: (error) => log('slots were not renewed: %s', error),
    })
  }

  get held(): readonly HeldSlot[] {
    return [...this.#held.values()].flatMap(({ slots }) => slots)
  }

  /** Renews these slots from now on. The signal aborts when a slot is lost. */
  keep(id: string, slots: readonly HeldSlot[]): AbortSignal {
    const lost = new AbortController()
    this.#held.set(id, { slots, lost })
    // A slot with a shorter lease than all others must not wait for their beat.
    if (this.#shortestLeaseMs() < this.#leaseMs) this.#heartbeat.stop()
    this.#heartbeat.start()
    return lost.signal
  }

  drop(id: string): void {
    this.#held.delete(id)
    if (this.#held.size === 0) this.#heartbeat.stop()
  }

  close(): void {
    this.#heartbeat.close()
  }

  #shortestLeaseMs(): number {
    let shortestMs = 60_000
    for (const { slots } of this.#held.values()) {
      for (const { limit } of slots) {
        if (limit.kind === 'concurrency') shortestMs = Math.min(shortestMs, limit.leaseMs)
      }
    }
    return shortestMs
  }

  async #renewAll(): Promise<void> {
    const slots = this.held
    if (slots.length === 0) return
    const kept = await this.#renew(slots)
    for (const [index, slot] of slots.entries()) if (kept[index] === false) this.#lose(slot)
  }

  #lose({ id, name }: HeldSlot): void {
    const held = this.#held.get(id)
    this.drop(id)
    held?.lost.abort(new SlotLostError(name))
  }
}
