/** Each bucket spans a quarter of a power of two, so a quantile is correct within a fifth. */
const bucketCount = 100
const generationMs = 30_000

/**
 * Latencies of the last 30 to 60 seconds in fixed memory: two generations of counts in
 * logarithmic buckets of microseconds. Recording takes some nanoseconds.
 */
export class LatencyHistogram {
  #current = new Uint32Array(bucketCount)
  #previous = new Uint32Array(bucketCount)
  #turnedAt = 0

  record(ms: number, now: number): void {
    if (now - this.#turnedAt > generationMs) this.#turn(now)
    const microseconds = Math.max(1, ms * 1_000)
    const bucket = Math.min(bucketCount - 1, Math.floor(Math.log2(microseconds) * 4))
    this.#current[bucket] = (this.#current[bucket] ?? 0) + 1
  }

  /** Milliseconds; `undefined` if nothing was recorded of late. */
  quantile(q: number, now: number): number | undefined {
    const counts = this.#counts(now)
    const total = counts.reduce((sum, count) => sum + count, 0)
    if (total === 0) return undefined
    let left = Math.ceil(total * q)
    const bucket = counts.findIndex((count) => {
      left -= count
      return left <= 0
    })
    return 2 ** ((bucket + 0.5) / 4) / 1_000
  }

  count(now: number): number {
    return this.#counts(now).reduce((sum, count) => sum + count, 0)
  }

  /** Without those that are too old by now, though none came since that would have turned the generations. */
  #counts(now: number): Uint32Array {
    const age = now - this.#turnedAt
    if (age > 2 * generationMs) return new Uint32Array(bucketCount)
    if (age > generationMs) return this.#current
    return this.#current.map((count, bucket) => count + (this.#previous[bucket] ?? 0))
  }

  #turn(now: number): void {
    const isFresh = now - this.#turnedAt <= 2 * generationMs
    this.#previous = isFresh ? this.#current : new Uint32Array(bucketCount)
    this.#current = new Uint32Array(bucketCount)
    this.#turnedAt = now
  }
}
