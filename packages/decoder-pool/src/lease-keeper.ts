import { createLog } from '@evenkeel/core'

const log = createLog('decoder-pool')

/** Renews leases three times in each, with jitter, all in one round trip. */
export class LeaseKeeper {
  readonly #leaseMs: number
  readonly #ids: () => readonly string[]
  readonly #renew: (ids: readonly string[]) => Promise<unknown>
  readonly #random: () => number
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(
    leaseMs: number,
    ids: () => readonly string[],
    renew: (ids: readonly string[]) => Promise<unknown>,
    random: () => number,
  ) {
    this.#leaseMs = leaseMs
    this.#ids = ids
    this.#renew = renew
    this.#random = random
  }

  start(): void {
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.#renewAll(), (this.#leaseMs / 3) * (0.9 + this.#random() * 0.2))
    this.#timer.unref()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  async #renewAll(): Promise<void> {
    const ids = this.#ids()
    if (ids.length > 0) await this.#renew(ids).catch((error) => log('leases were not renewed: %s', error))
    this.start()
  }
}
