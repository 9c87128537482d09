/** How an answer ended. */
export interface AnswerEnd {
  readonly status: number
  /** The client disconnected before the answer was sent. */
  readonly aborted: boolean
}

/**
 * The life of one answer, from before its request is admitted until the answer is sent or the client disconnects. An
 * adapter creates it before anything else, because a client may disconnect at any time, and reports its end once or
 * more often. `AdmissionControl` settles the request then.
 */
export class AnswerLife {
  #end: AnswerEnd | undefined
  #callbacks: ((end: AnswerEnd) => void)[] = []

  get isOver(): boolean {
    return this.#end !== undefined
  }

  /** Reports the end. Only the first call counts. */
  end(end: AnswerEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    for (const callback of this.#callbacks.splice(0)) callback(end)
  }

  /** Calls back once, when the answer ends; at once if it has already ended. */
  whenOver(callback: (end: AnswerEnd) => void): void {
    if (this.#end === undefined) this.#callbacks.push(callback)
    else callback(this.#end)
  }
}
