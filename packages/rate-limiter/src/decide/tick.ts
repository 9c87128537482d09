import { type Answer, UnavailableError } from '@evenkeel/core'
import { nextTick } from '@evenkeel/core/kit'
import type { Decision, DecisionRequest, LimitCost } from '../stores/port.js'
import type { PendingDecision } from './pending-decision.js'

export interface TickHost {
  /** Decides all, one after the other. */
  send(requests: readonly DecisionRequest[]): Promise<Answer<readonly Decision[]>>
  answered(pending: readonly PendingDecision[], answer: Answer<readonly Decision[]>): void
}

/** Requests in one call, which take about half a millisecond of the server's time. */
const maxRequests = 128

/**
 * Sends the requests of one turn of the event loop in one call, because a call for each would cost several times what
 * its decision costs. They are decided in order, as if they were sent one by one. This is the kit's `TickBatcher` with
 * callbacks: a promise for each decision would be a tenth of its cost.
 */
export class DecisionTick {
  readonly #host: TickHost
  #pending: PendingDecision[] = []
  readonly #flush = () => this.flush()

  constructor(host: TickHost) {
    this.#host = host
  }

  add(pending: PendingDecision): void {
    // From a microtask, this runs after all other microtasks: calls that follow the answers of one call leave together.
    if (this.#pending.length === 0) nextTick(this.#flush)
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

  /**
   * Sends each request again by itself: one of them may have failed the call, such as for a key of the wrong type. An
   * outage fails all of them: after a lost reply, a second call would charge twice, and after a refusal for overload,
   * many calls would add to it.
   */
  #failed(pending: readonly PendingDecision[], error: unknown): void {
    if (pending.length === 1 || UnavailableError.isInstance(error)) {
      for (const one of pending) one.failed(error)
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

/** The ticks of a limiter: one for all requests, or in a Cluster one per subject, since a call reaches one node. */
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

  /** Sends all requests now, so that a settlement, block or reset does not overtake them. */
  flush(): void {
    this.#all.flush()
    for (const tick of this.#bySubject.values()) tick.flush()
  }
}
