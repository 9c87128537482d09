import { setTimeout as pause } from 'node:timers/promises'
import type { ThreadId } from '../stores/thread-id.js'
import type { ThreadWrite } from './entry.js'
import type { JournalFile } from './file.js'
import type { Journal } from './journal.js'
import { PredecessorWrites } from './predecessors.js'

export interface OrphanRecoveryHost {
  readonly journal: Journal
  /** Whether writes go to Redis at the moment. */
  isUp(): boolean
  adopt(write: ThreadWrite): void
  /** Sends what is in the journal. */
  replay(signal: AbortSignal): Promise<void>
}

/**
 * Takes over writes that processes which are gone left in the journal's folder. Such writes of a thread come before
 * new ones, whichever process sends them: they may be this writer's own, from before a crash.
 */
export class OrphanRecovery {
  readonly #host: OrphanRecoveryHost
  readonly #elders: PredecessorWrites
  readonly #closed = new AbortController()
  #sending: Promise<void> | undefined

  constructor(file: JournalFile, host: OrphanRecoveryHost) {
    this.#host = host
    file.start(
      (left) => host.adopt(left),
      () => this.#taken(),
    )
    this.#elders = new PredecessorWrites(() => file.others())
  }

  /**
   * What a write of this thread to Redis must wait for. In an outage it waits for nothing, since both are journaled,
   * and sent in this order.
   */
  before(id: ThreadId): Promise<void> | undefined {
    if (!this.#host.isUp()) return undefined
    return this.#isSending(id) ? this.#sent(id) : this.#elders.before(id)
  }

  /** What a new journaled write must wait for: other processes may have taken over earlier writes of its thread. */
  ofOthers(id: ThreadId): Promise<void> | undefined {
    return this.#elders.before(id)
  }

  close(): void {
    this.#closed.abort(new Error('closed'))
    this.#elders.close()
  }

  #isSending(id: ThreadId): boolean {
    return this.#sending !== undefined && this.#host.isUp() && this.#host.journal.of(id) !== undefined
  }

  async #sent(id: ThreadId): Promise<void> {
    while (this.#isSending(id)) await Promise.race([this.#sending, pause(20)])
    await this.#elders.before(id)
  }

  /** Sends the writes that were taken over to Redis before any other, or with the next recovery. */
  #taken(): void {
    const sending = this.#send().finally(() => {
      if (this.#sending === sending) this.#sending = undefined
    })
    this.#sending = sending
  }

  async #send(): Promise<void> {
    const { signal } = this.#closed
    for (let pauseMs = 100; !signal.aborted; pauseMs = Math.min(2 * pauseMs, 2_000)) {
      if (this.#host.journal.isEmpty) return
      try {
        if (this.#host.isUp()) return await this.#host.replay(signal)
      } catch {
        // Redis went away again: the recovery of the pair sends it, or the next try.
      }
      await pause(pauseMs, undefined, { signal, ref: false }).catch(() => {})
    }
  }
}
