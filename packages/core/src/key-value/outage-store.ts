import type { RecoverContext } from '../failover/failover.js'
import { type Clock, systemClock } from '../kit/clock.js'
import { mapBounded } from '../kit/map-bounded.js'
import { MemoryKeyValueStore, type MemoryKeyValueStoreOptions } from './memory-store.js'
import {
  digestOf,
  type Expected,
  type KeyValuePort,
  type SetOptions,
  type SetResult,
  type Versioned,
} from './port.js'

/** A change that was made here during an outage, and what Redis must still hold for it to apply there. */
interface Change {
  readonly expected: Expected
  /** When the written value expires, on the monotonic clock; 0 for a deletion. */
  readonly endsAt: number
}

/** How many rounds of writing back run while calls continue. */
const maxRounds = 3

/** How many changes are written back concurrently. */
const maxAtOnce = 64

/**
 * The values that this process knows, for outages: those that it has seen in Redis, with their remaining time to live,
 * and those that it writes while Redis is away. Only the latter are written back, each where Redis still holds what
 * the process knew before it changed the value.
 */
export class OutageKeyValueStore implements KeyValuePort {
  readonly #memory: MemoryKeyValueStore
  /** Changes by key, the oldest first. */
  readonly #changes = new Map<string, Change>()
  readonly #maxChanges: number
  readonly #clock: Clock

  /** `writesBack`: whether changes are recorded at all. */
  constructor(options: MemoryKeyValueStoreOptions & { readonly writesBack: boolean }) {
    this.#memory = new MemoryKeyValueStore(options)
    this.#clock = options.clock ?? systemClock
    this.#maxChanges = options.writesBack ? (options.maxEntries ?? 10_000) : 0
  }

  get entries(): number {
    return this.#memory.entries
  }

  get bytes(): number {
    return this.#memory.bytes
  }

  /** Records what Redis answered for a key, so that an outage starts with it. */
  note(key: string, found: Versioned | undefined): void {
    // While changes are moved to Redis, a value that is newer than the one in Redis stays.
    if (this.#changes.has(key)) return
    if (found !== undefined) this.#memory.put(key, found)
    else this.forget(key)
  }

  /** Records a new ttl that the key has in Redis. */
  noteTtl(key: string, ttlMs: number): void {
    const known = this.#memory.peek(key)
    if (known !== undefined) this.#memory.put(key, { ...known, ttlMs })
  }

  /** Redis no longer holds the key, or no longer the value that is known here. */
  forget(key: string): void {
    void this.#memory.delete(key)
  }

  get(key: string): Promise<Versioned | undefined> {
    return this.#memory.get(key)
  }

  getMany(keys: readonly string[]): Promise<readonly (Versioned | undefined)[]> {
    return this.#memory.getMany(keys)
  }

  async set(key: string, value: string, options: SetOptions): Promise<SetResult> {
    const before = this.#memory.peek(key)
    const result = await this.#memory.set(key, value, options)
    if (result.written) this.#changed(key, before, { value, ttlMs: options.ttlMs })
    return result
  }

  async delete(key: string): Promise<boolean> {
    const before = this.#memory.peek(key)
    if (before !== undefined) this.#changed(key, before, undefined)
    return this.#memory.delete(key)
  }

  async increment(key: string, by: number, ttlMs: number): Promise<Versioned> {
    const before = this.#memory.peek(key)
    const sum = await this.#memory.increment(key, by, ttlMs)
    this.#changed(key, before, sum)
    return sum
  }

  async touch(key: string, ttlMs: number): Promise<boolean> {
    const before = this.#memory.peek(key)
    if (before !== undefined) this.#changed(key, before, { value: before.value, ttlMs })
    return this.#memory.touch(key, ttlMs)
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return this.#memory.keys(prefix)
  }

  /**
   * Writes back what was changed here, until nothing is left; then forgets everything and hands over in the same turn.
   * What changes meanwhile is written back too. If that does not end, calls wait for the last round.
   */
  async handOver({
    primary,
    signal,
    holdCalls,
    progress,
    handOver,
  }: RecoverContext<KeyValuePort>): Promise<void> {
    for (let round = 1; this.#changes.size > 0; round++) {
      if (round > maxRounds) holdCalls()
      await mapBounded([...this.#changes], maxAtOnce, async ([key, change]) => {
        signal.throwIfAborted()
        await this.#writeBack(primary, key, change)
        progress()
      })
    }
    signal.throwIfAborted()
    this.#memory.clear()
    handOver()
  }

  /** A change that is made during the write stays, and now expects the value that this write has left in Redis. */
  async #writeBack(primary: KeyValuePort, key: string, change: Change): Promise<void> {
    const known = this.#memory.peek(key)
    let version = 0
    let isWritten: boolean
    if (known !== undefined) {
      const result = await primary.set(key, known.value, { ttlMs: known.ttlMs, expected: change.expected })
      version = result.version
      isWritten = result.written
    } else if (change.endsAt <= this.#clock.monotonic()) {
      await primary.delete(key, change.expected)
      isWritten = true
    } else {
      // The value was evicted at the memory bound, so there is none to write.
      isWritten = false
    }
    const meanwhile = this.#changes.get(key)
    if (meanwhile === change || !isWritten) this.#changes.delete(key)
    else if (meanwhile !== undefined) this.#changes.set(key, { ...meanwhile, expected: { version } })
  }

  #changed(
    key: string,
    before: Versioned | undefined,
    written: { readonly value: string; readonly ttlMs: number } | undefined,
  ): void {
    if (this.#maxChanges === 0) return
    const earlier = this.#changes.get(key)?.expected
    const expected: Expected = {
      version: earlier?.version ?? before?.version ?? 0,
      // If another instance deleted it meanwhile, the outcome is the same.
      orAbsent: earlier?.orAbsent === true || written === undefined,
      // The call that found Redis away may have reached it: then Redis holds the first value written here.
      orDigest: earlier?.orDigest ?? (written && digestOf(written.value)),
    }
    const endsAt = written === undefined ? 0 : this.#clock.monotonic() + written.ttlMs
    this.#changes.set(key, { expected, endsAt })
    const [oldest] = this.#changes.keys()
    if (this.#changes.size > this.#maxChanges && oldest !== undefined) this.#changes.delete(oldest)
  }
}
