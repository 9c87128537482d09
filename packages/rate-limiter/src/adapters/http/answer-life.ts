/** How an answer ended. */
export interface AnswerEnd {
  readonly status: number
  /** The client left before the answer was out. */
  readonly aborted: boolean
}

/**
 * The life of one answer: from before its request is admitted until it is out, or its client has gone. An
 * adapter begins it before anything is asked, since a client may leave at any moment, and reports its end once or
 * more often; admission alone acts on it.
 */
export class AnswerLife {
  #end: AnswerEnd | undefined
  #callbacks: ((end: AnswerEnd) => void)[] = []

  get isOver(): boolean {
    return this.#end !== undefined
  }

  /** The first call counts. */
  end(end: AnswerEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    for (const callback of this.#callbacks.splice(0)) callback(end)
  }

  /** Calls back once; at once where the answer has ended already. */
  whenOver(callback: (end: AnswerEnd) => void): void {
    if (this.#end === undefined) this.#callbacks.push(callback)
    else callback(this.#end)
  }
}
