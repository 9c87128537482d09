export interface SharedPartsOptions<P> {
  /** Beyond it nothing is recorded, and nobody can join any more. */
  readonly maxBytes: number
  readonly sizeOf: (part: P) => number
  /** Called once, with all parts if the source ended by itself within the bound, else with nothing. */
  readonly onEnd: (parts: readonly P[] | undefined) => void
}

/**
 * One stream of parts for several readers. Who joins late gets what has passed, then follows. It is read to
 * its end whether readers stay or not, since the next caller wants the answer; beyond the bound it goes at
 * its readers' pace, and ends with the last of them.
 */
export class SharedParts<P> {
  readonly #source: ReadableStreamDefaultReader<P>
  readonly #options: SharedPartsOptions<P>
  readonly #parts: P[] = []
  #bytes = 0
  /** Parts before this one have been let go. */
  #first = 0
  #readers = new Set<{ at: number }>()
  #reading: Promise<void> | undefined
  #end: { readonly error?: unknown } | undefined
  #isTooLarge = false

  constructor(source: ReadableStream<P>, options: SharedPartsOptions<P>) {
    this.#source = source.getReader()
    this.#options = options
    void this.#record()
  }

  /** Whether a reader that comes now would get all parts, and no error as far as is known. */
  get joinable(): boolean {
    return !this.#isTooLarge && this.#end?.error === undefined
  }

  /** The signal ends this reader alone. */
  read(signal?: AbortSignal): ReadableStream<P> {
    const reader = { at: this.#first }
    this.#readers.add(reader)
    let onAbort = () => {}
    const leave = () => {
      signal?.removeEventListener('abort', onAbort)
      this.#readers.delete(reader)
      this.#letGo()
      if (!this.#isTooLarge || this.#readers.size > 0 || this.#end !== undefined) return
      this.#end = {}
      this.#source.cancel().catch(() => {})
    }
    return new ReadableStream<P>(
      {
        start: (controller) => {
          onAbort = () => {
            leave()
            controller.error(signal?.reason)
          }
          if (signal?.aborted) onAbort()
          else signal?.addEventListener('abort', onAbort, { once: true })
        },
        pull: async (controller) => {
          while (reader.at >= this.#first + this.#parts.length && this.#end === undefined) await this.#more()
          // It left while a part was on its way.
          if (!this.#readers.has(reader)) return
          const part = this.#parts[reader.at - this.#first]
          if (part !== undefined) {
            reader.at++
            controller.enqueue(part)
            this.#letGo()
            return
          }
          leave()
          if (this.#end !== undefined && 'error' in this.#end) controller.error(this.#end.error)
          else controller.close()
        },
        cancel: leave,
      },
      { highWaterMark: 0 },
    )
  }

  async #record(): Promise<void> {
    while (this.#end === undefined && !this.#isTooLarge) await this.#more()
    const isWhole = !this.#isTooLarge && this.#end !== undefined && !('error' in this.#end)
    this.#options.onEnd(isWhole ? [...this.#parts] : undefined)
    // Those who read are done with it soon; those who come now find the entry.
    if (this.#isTooLarge) this.#letGo()
  }

  /** Reads one part more; callers at the same time share it. Never rejects. */
  #more(): Promise<void> {
    this.#reading ??= this.#source
      .read()
      .then(
        ({ done, value }) => {
          if (done) {
            this.#end = {}
            return
          }
          this.#parts.push(value)
          this.#bytes += this.#options.sizeOf(value)
          if (this.#bytes > this.#options.maxBytes) this.#isTooLarge = true
        },
        (error: unknown) => {
          this.#end = { error }
        },
      )
      .finally(() => {
        this.#reading = undefined
      })
    return this.#reading
  }

  /** What is not recorded is kept only until the slowest reader has it. */
  #letGo(): void {
    if (!this.#isTooLarge) return
    const slowest = Math.min(...[...this.#readers].map(({ at }) => at), this.#first + this.#parts.length)
    this.#parts.splice(0, slowest - this.#first)
    this.#first = slowest
  }
}
