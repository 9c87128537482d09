import { type Failover, type FailoverState, failover } from '@evenkeel/core'
import type { ResolvedSemanticOptions } from '../options.js'
import type { SemanticStats } from '../stats.js'
import { DetectingIndex } from './detecting.js'
import { MemorySemanticIndex } from './memory.js'
import { MirroredIndex } from './mirrored.js'
import type { Neighbour, Observation, Place, Row, SemanticIndex } from './port.js'
import { VectorSetIndex } from './redis.js'

/** Maximum number of observations of an outage that are sent to Redis later; older ones are lost. */
const maxPending = 1_000

interface Pending {
  readonly place: Place
  readonly id: string
  readonly observation: Observation
}

/** The index of all instances; in an outage, the rows that this process added. */
export class SharedIndex {
  readonly #options: ResolvedSemanticOptions
  readonly #memory: MemorySemanticIndex
  readonly #detecting: DetectingIndex | undefined
  readonly #stores: Failover<SemanticIndex>
  /** Wrong answers found in an outage, for Redis: they must not be served again after it. */
  #pending: Pending[] = []

  constructor(options: ResolvedSemanticOptions) {
    const { index, maxBytes, clock, search } = options
    // The application's own index gets no fallback: it handles outages itself.
    const redis = index === undefined ? options.redis : undefined
    this.#options = { ...options, redis }
    this.#memory = new MemorySemanticIndex({ maxBytes, clock })
    const exact = redis && new MirroredIndex(redis, { maxBytes, clock })
    this.#detecting = search === 'auto' && redis && exact ? new DetectingIndex(redis, exact) : undefined
    this.#stores = failover<SemanticIndex>(redis, {
      name: 'llm-semantic',
      durability: 'disposable',
      primary: redis && (this.#detecting ?? (search === 'exact' ? exact : new VectorSetIndex(redis))),
      fallback: index ?? this.#memory,
      held: () => ({ entries: this.#memory.places, bytes: this.#memory.bytes }),
      recover: async ({ primary }) => {
        while (this.#pending.length > 0) {
          const { place, id, observation } = this.#pending[0] as Pending
          await primary.observe(place, id, observation)
          this.#pending = this.#pending.filter((other) => other.observation !== observation)
        }
      },
    })
  }

  get state(): FailoverState {
    return this.#stores.state
  }

  get search(): SemanticStats['search'] {
    const { redis, search } = this.#options
    if (this.#options.index !== undefined) return 'own'
    if (redis === undefined) return 'memory'
    return search === 'auto' ? (this.#detecting?.kind ?? 'unknown') : search
  }

  async nearest(place: Place, vector: Float32Array, count: number): Promise<readonly Neighbour[]> {
    return (await this.#stores.run((store) => store.nearest(place, vector, count))).value
  }

  /** Into Redis and, for outages, into memory. */
  async add(place: Place, row: Row, ttlMs: number): Promise<void> {
    const options = { ttlMs, maxRows: this.#options.maxRows }
    await this.#both((store) => store.add(place, row, options))
  }

  async remove(place: Place, id: string): Promise<void> {
    await this.#both((store) => store.remove(place, id))
  }

  async observe(place: Place, id: string, observation: Observation): Promise<void> {
    const source = await this.#both((store) => store.observe(place, id, observation))
    if (source === 'redis' || this.#options.redis === undefined || observation.right) return
    this.#pending = [...this.#pending, { place, id, observation }].slice(-maxPending)
  }

  close(): void {
    this.#stores.close()
    this.#detecting?.close()
  }

  async #both(write: (store: SemanticIndex) => Promise<void>): Promise<'redis' | 'memory'> {
    if (this.#options.redis !== undefined) await write(this.#memory)
    return (await this.#stores.run(write)).source
  }
}
