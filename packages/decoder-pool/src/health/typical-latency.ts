/** How much one answer counts. */
const share = 0.05

/** Geometric mean of recent latencies on all nodes of a pool, as one coordinator uses them. */
export class TypicalLatency {
  #ms: number | undefined

  get ms(): number | undefined {
    return this.#ms
  }

  note(latencyMs: number): void {
    const ms = Math.max(1, latencyMs)
    this.#ms = this.#ms === undefined ? ms : this.#ms * (ms / this.#ms) ** share
  }
}
