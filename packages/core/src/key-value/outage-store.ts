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

/** What was changed here while Redis was away, and what Redis must still hold for the change to count there. */
interface Change {
  readonly expected: Expected
  /** When the value that was written ends, on the monotonic clock; 0 for one that was deleted. */
  readonly endsAt: number
}

/** Rounds of writing back beside calls that go on. */
const maxRounds = 3

/** Changes written back at once. */
const maxAtOnce = 64

/**
 * The values that this process knows, for outages: those that it has seen in Redis, with the time that they have
 * left there, and those that it writes while Redis is away. Only the latter are written back, each where Redis
 * still holds what the process knew before it changed it.
 */
export class OutageKeyValueStore implements KeyValuePort {
  readonly #memory: MemoryKeyValueStore
  /** By key, the oldest first. */
  readonly #changes = new Map<string, Change>()
  readonly #maxChanges: number
  readonly #clock: Clock

  /** `writesBack`: whether changes are remembered at all. */
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

  /** What Redis answered for a key, so that an outage begins with it. */
  note(key: string, found: Versioned | undefined): void {
    // Changes are there while memory is handed over to Redis; what is newer than Redis stays.
    if (this.#changes.has(key)) return
    if (found !== undefined) this.#memory.put(key, found)
    else this.forget(key)
  }

  /** Redis has a new ttl for the key. */
  noteTtl(key: string, ttlMs: number): void {
    const known = this.#memory.peek(key)
    if (known !== undefined) this.#memory.put(key, { ...known, ttlMs })
  }

  /** Redis no longer holds the key, or no longer what is known of it. */
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
   * Writes back what was changed here, until nothing is left; then forgets all, and hands over in the same turn. What
   * is changed meanwhile is written back too; where that finds no end, calls wait for the last round.
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

  /** A change that is made meanwhile stays, and expects what this one has left in Redis. */
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
      // It was dropped at the memory bound, so there is no value to write.
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
      // The call that found Redis away may have reached it: then the value there is the first one written here.
      orDigest: earlier?.orDigest ?? (written && digestOf(written.value)),
    }
    const endsAt = written === undefined ? 0 : this.#clock.monotonic() + written.ttlMs
    this.#changes.set(key, { expected, endsAt })
    const [oldest] = this.#changes.keys()
    if (this.#changes.size > this.#maxChanges && oldest !== undefined) this.#changes.delete(oldest)
  }
}
