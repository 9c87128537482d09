/** Values by seq, in the order of the seqs; adding at the end is fastest. */
export class SeqMap<V> {
  readonly #values: Map<number, V>
  readonly #seqs: number[]

  constructor(other?: SeqMap<V>) {
    this.#values = new Map(other === undefined ? [] : other.#values)
    this.#seqs = other === undefined ? [] : [...other.#seqs]
  }

  get size(): number {
    return this.#seqs.length
  }

  get(seq: number): V | undefined {
    return this.#values.get(seq)
  }

  has(seq: number): boolean {
    return this.#values.has(seq)
  }

  set(seq: number, value: V): void {
    if (!this.#values.has(seq)) this.#seqs.splice(this.#placeOf(seq), 0, seq)
    this.#values.set(seq, value)
  }

  delete(seq: number): void {
    if (this.#values.delete(seq)) this.#seqs.splice(this.#placeOf(seq), 1)
  }

  clear(): void {
    this.#values.clear()
    this.#seqs.length = 0
  }

  /** Values of the seqs up to one, the newest first. */
  *downFrom(seq: number): Generator<V> {
    for (let index = this.#placeOf(seq + 1) - 1; index >= 0; index--) {
      const value = this.#values.get(this.#seqs[index] ?? 0)
      if (value !== undefined) yield value
    }
  }

  /** The first index whose seq is not less. */
  #placeOf(seq: number): number {
    let [low, high] = [0, this.#seqs.length]
    if ((this.#seqs[high - 1] ?? 0) < seq) return high
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#seqs[middle] ?? 0) < seq) low = middle + 1
      else high = middle
    }
    return low
  }
}
