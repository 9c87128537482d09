import type { Source } from '@evenkeel/core'
import type { Decision, DecisionRequest } from '../stores/port.js'

/** A request, and who waits for its answer. */
export interface PendingDecision extends DecisionRequest {
  /** As of when memory has charged it already, where both must admit it. */
  notedAtMs?: number
  done(decision: Decision, source: Source, notedAtMs: number): void
  failed(error: unknown): void
}

export interface TickHost {
  /** Decides all, one after the other. */
  send(
    asked: readonly PendingDecision[],
  ): Promise<{ readonly value: readonly Decision[]; readonly source: Source }>
  answered(asked: readonly PendingDecision[], decisions: readonly Decision[], source: Source): void
}

/** What one call carries: about half a millisecond of the server's time. */
const maxRequests = 128

/**
 * Requests that are made in one turn of the event loop travel together: a call of its own costs each of them
 * several times what deciding it costs. They are decided in their order, as if they had come one by one.
 * Callbacks, not promises: they are on the path of every decision.
 */
export class TickBatcher {
  readonly #host: TickHost
  #asked: PendingDecision[] = []
  readonly #flush = () => this.flush()

  constructor(host: TickHost) {
    this.#host = host
  }

  add(asked: PendingDecision): void {
    // After all microtasks: what the answers of the last call set off leaves in one call again.
    if (this.#asked.length === 0) process.nextTick(this.#flush)
    if (this.#asked.push(asked) >= maxRequests) this.flush()
  }

  flush(): void {
    const asked = this.#asked
    if (asked.length === 0) return
    this.#asked = []
    this.#host.send(asked).then(
      ({ value, source }) => this.#host.answered(asked, value, source),
      (error: unknown) => this.#failed(asked, error),
    )
  }

  /** A key of the wrong type, say, ended the call before it had written: the others are not to blame. */
  #failed(asked: readonly PendingDecision[], error: unknown): void {
    if (asked.length === 1) {
      asked[0]?.failed(error)
      return
    }
    for (const one of asked) {
      this.#host.send([one]).then(
        ({ value, source }) => this.#host.answered([one], value, source),
        (own: unknown) => one.failed(own),
      )
    }
  }
}
