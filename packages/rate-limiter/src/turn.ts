import type { Answer } from '@evenkeel/core'
import type { Decision, DecisionRequest } from './store.js'

type Send = (requests: readonly DecisionRequest[]) => Promise<Answer<readonly Decision[]>>

interface Waiting {
  resolve(answer: Answer<Decision>): void
  reject(error: unknown): void
}

/** What one call carries: about half a millisecond of the server's time. */
const mostRequests = 128

/**
 * Requests that are made in one turn of the event loop travel together: a call of its own costs each of them
 * several times what deciding it costs. They are decided in their order, as if they had come one by one.
 */
export class Turn {
  readonly #send: Send
  #requests: DecisionRequest[] = []
  #waiting: Waiting[] = []

  constructor(send: Send) {
    this.#send = send
  }

  add(request: DecisionRequest): Promise<Answer<Decision>> {
    return new Promise((resolve, reject) => {
      // After all microtasks: what the answers of the last call set off leaves in one call again.
      if (this.#requests.length === 0) process.nextTick(() => this.flush())
      this.#requests.push(request)
      this.#waiting.push({ resolve, reject })
      if (this.#requests.length >= mostRequests) this.flush()
    })
  }

  flush(): void {
    const requests = this.#requests
    const waiting = this.#waiting
    if (requests.length === 0) return
    this.#requests = []
    this.#waiting = []
    this.#send(requests).then(
      ({ value, source }) => {
        for (let index = 0; index < waiting.length; index++) {
          const decision = value[index]
          if (decision !== undefined) waiting[index]?.resolve({ value: decision, source })
        }
      },
      (error: unknown) => this.#failed(requests, waiting, error),
    )
  }

  /** A key of the wrong type, say, ended the call before it had written: the others are not to blame. */
  #failed(requests: readonly DecisionRequest[], waiting: readonly Waiting[], error: unknown): void {
    if (requests.length === 1) waiting[0]?.reject(error)
    else
      for (const [index, request] of requests.entries()) {
        this.#send([request]).then(
          ({ value: [decision], source }) => {
            if (decision !== undefined) waiting[index]?.resolve({ value: decision, source })
          },
          (own: unknown) => waiting[index]?.reject(own),
        )
      }
  }
}
