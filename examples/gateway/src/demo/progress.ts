/** How often progress is printed: a terminal's line is overwritten, elsewhere every report is a new line. */
const everyMs = { terminal: 200, elsewhere: 2_000 }

/** Prints how far a run is, in time and answers, and what happened last. */
export class Progress {
  readonly #label: string
  readonly #expectedMs: number
  readonly #startedAt = performance.now()
  readonly #isTerminal = process.stdout.isTTY === true
  readonly #timer: NodeJS.Timeout
  #done = 0
  #total = 0
  #now = ''

  constructor(label: string, expectedMs: number) {
    this.#label = label
    this.#expectedMs = expectedMs
    this.#timer = setInterval(
      () => this.#print(),
      this.#isTerminal ? everyMs.terminal : everyMs.elsewhere,
    ).unref()
  }

  answered(done: number, total: number): void {
    this.#done = done
    this.#total = total
  }

  /** From 0 to 1. */
  get answeredShare(): number {
    return this.#total === 0 ? 0 : this.#done / this.#total
  }

  /** Sets the text that says what happened last. */
  note(now: string): void {
    this.#now = now
    this.#print()
  }

  end(): void {
    clearInterval(this.#timer)
    this.#now = 'done'
    this.#print()
    if (this.#isTerminal) process.stdout.write('\n')
  }

  #print(): void {
    const seconds = (ms: number) => (ms / 1_000).toFixed(0)
    const passedMs = performance.now() - this.#startedAt
    const time = `${seconds(passedMs)} s of ${seconds(Math.max(passedMs, this.#expectedMs))}`.padEnd(12)
    const line = `  ${this.#label}: ${time} ${this.#done}/${this.#total} answered  ${this.#now}`
    if (this.#isTerminal) process.stdout.write(`\r${line.padEnd(78)}`)
    else console.log(line.trimEnd())
  }
}
