import type { Answer } from '@evenkeel/core'
import type { Decision, DecisionRequest, LimitCost } from '../stores/port.js'
import type { PendingDecision } from './pending-decision.js'

export interface TickHost {
  /** Decides all, one after the other. */
  send(requests: readonly DecisionRequest[]): Promise<Answer<readonly Decision[]>>
  answered(pending: readonly PendingDecision[], answer: Answer<readonly Decision[]>): void
}

/** What one call carries: about half a millisecond of the server's time. */
const maxRequests = 128

/**
 * Requests that are made in one turn of the event loop travel together: a call of its own costs each of them
 * several times what deciding it costs. They are decided in their order, as if they had come one by one. It is the
 * kit's `TickBatcher` for callbacks: a promise for each decision would be a tenth of what it costs.
 */
export class DecisionTick {
  readonly #host: TickHost
  #pending: PendingDecision[] = []
  readonly #flush = () => this.flush()

  constructor(host: TickHost) {
    this.#host = host
  }

  add(pending: PendingDecision): void {
    // After all microtasks: what the answers of the last call set off leaves in one call again.
    if (this.#pending.length === 0) process.nextTick(this.#flush)
    if (this.#pending.push(pending) >= maxRequests) this.flush()
  }

  flush(): void {
    const pending = this.#pending
    if (pending.length === 0) return
    this.#pending = []
    this.#host.send(pending).then(
      (answer) => this.#host.answered(pending, answer),
      (error: unknown) => this.#failed(pending, error),
    )
  }

  /** A key of the wrong type, say, ended the call before it had written: the others are not to blame. */
  #failed(pending: readonly PendingDecision[], error: unknown): void {
    if (pending.length === 1) {
      pending[0]?.failed(error)
      return
    }
    for (const one of pending) {
      this.#host.send([one]).then(
        (answer) => this.#host.answered([one], answer),
        (own: unknown) => one.failed(own),
      )
    }
  }
}

/** The ticks of a limiter. In a Cluster only what shares a node can travel together: there each subject has its own. */
export class DecisionTicks {
  readonly #host: TickHost
  readonly #isCluster: () => boolean
  readonly #all: DecisionTick
  readonly #bySubject = new Map<string, DecisionTick>()

  constructor(host: TickHost, isCluster: () => boolean) {
    this.#host = host
    this.#isCluster = isCluster
    this.#all = new DecisionTick(host)
  }

  of(limitCosts: readonly LimitCost[]): DecisionTick {
    if (!this.#isCluster()) return this.#all
    const subject = limitCosts[0]?.subject ?? ''
    let tick = this.#bySubject.get(subject)
    if (tick === undefined) {
      tick = new DecisionTick({
        ...this.#host,
        send: (requests) => {
          this.#bySubject.delete(subject)
          return this.#host.send(requests)
        },
      })
      this.#bySubject.set(subject, tick)
    }
    return tick
  }

  /** Nothing may overtake what was asked before it. */
  flush(): void {
    this.#all.flush()
    for (const tick of this.#bySubject.values()) tick.flush()
  }
}
