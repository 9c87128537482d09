import { SlotLostError } from '../errors.js'
import type { HeldSlot } from '../stores/port.js'

interface HeldSlots {
  readonly slots: readonly HeldSlot[]
  readonly lost: AbortController
}

type Renew = (slots: readonly HeldSlot[]) => Promise<readonly boolean[]>

/** The slots that this process holds. One timer renews them all, three times a lease. */
export class SlotRenewal {
  readonly #holdings = new Map<string, HeldSlots>()
  readonly #renew: Renew
  #timer: NodeJS.Timeout | undefined

  constructor(renew: Renew) {
    this.#renew = renew
  }

  get held(): readonly HeldSlot[] {
    return [...this.#holdings.values()].flatMap(({ slots }) => slots)
  }

  /** Renews from now on. The signal aborts when a slot is lost. */
  keep(id: string, slots: readonly HeldSlot[]): AbortSignal {
    const lost = new AbortController()
    this.#holdings.set(id, { slots, lost })
    this.#schedule()
    return lost.signal
  }

  drop(id: string): void {
    this.#holdings.delete(id)
    if (this.#holdings.size === 0) this.close()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #schedule(): void {
    if (this.#timer !== undefined) return
    const leases = this.held.map(({ limit }) => (limit.kind === 'concurrency' ? limit.leaseMs : 60_000))
    this.#timer = setTimeout(() => void this.#renewAll(), Math.min(...leases) / 3)
    this.#timer.unref()
  }

  async #renewAll(): Promise<void> {
    const slots = this.held
    try {
      const kept = await this.#renew(slots)
      for (const [index, slot] of slots.entries()) if (kept[index] === false) this.#lose(slot)
    } catch {
      // Redis is away and so is memory's answer: the lease runs on, and the next round tries again.
    } finally {
      this.#timer = undefined
      if (this.#holdings.size > 0) this.#schedule()
    }
  }

  #lose({ id, name }: HeldSlot): void {
    const holding = this.#holdings.get(id)
    this.#holdings.delete(id)
    holding?.lost.abort(new SlotLostError(name))
  }
}
