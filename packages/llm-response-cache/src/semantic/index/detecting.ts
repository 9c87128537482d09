import type { Connection } from '@evenkeel/core'
import type { MirroredIndex } from './mirrored.js'
import type { AddOptions, Neighbour, Observation, Place, Row, SemanticIndex } from './port.js'
import { hasVectorSets, VectorSetIndex } from './redis.js'

export type SearchKind = 'vector-set' | 'exact'

/** Uses vector sets if the server has them, else local copies. Asks the server once, and again after an outage. */
export class DetectingIndex implements SemanticIndex {
  readonly #redis: Connection
  readonly #exact: MirroredIndex
  readonly #sets: VectorSetIndex
  readonly #stop: () => void
  #kind: SearchKind | undefined

  constructor(redis: Connection, exact: MirroredIndex) {
    this.#redis = redis
    this.#exact = exact
    this.#sets = new VectorSetIndex(redis)
    // Another server may answer after an outage.
    this.#stop = redis.on('down', () => {
      this.#kind = undefined
    })
  }

  get kind(): SearchKind | undefined {
    return this.#kind
  }

  async nearest(place: Place, vector: Float32Array, count: number): Promise<readonly Neighbour[]> {
    return (await this.#index()).nearest(place, vector, count)
  }

  async add(place: Place, row: Row, options: AddOptions): Promise<void> {
    return (await this.#index()).add(place, row, options)
  }

  async remove(place: Place, id: string): Promise<void> {
    return (await this.#index()).remove(place, id)
  }

  async observe(place: Place, id: string, observation: Observation): Promise<void> {
    return (await this.#index()).observe(place, id, observation)
  }

  close(): void {
    this.#stop()
  }

  async #index(): Promise<SemanticIndex> {
    this.#kind ??= (await hasVectorSets(this.#redis)) ? 'vector-set' : 'exact'
    return this.#kind === 'exact' ? this.#exact : this.#sets
  }
}
