import { ByteBoundedLru } from '@evenkeel/core/kit'
import { elementsOf } from './codec.js'
import type { CheckpointStore, ReadCheckpoint, StoredCheckpoint, StoredWrite } from './port.js'

interface HeldThread {
  readonly checkpoints: Map<string, StoredCheckpoint>
  readonly values: Map<string, string>
  readonly writes: Map<string, Map<string, StoredWrite>>
  bytes: number
}

/** Checkpoints in this process, bounded: when full, it forgets the least recently used threads, each as a whole. */
export class MemoryCheckpoints implements CheckpointStore {
  readonly #threads: ByteBoundedLru<HeldThread>
  readonly #ttlMs: number | undefined

  constructor(options: { maxThreads: number; maxBytes: number; ttlMs: number | undefined }) {
    this.#ttlMs = options.ttlMs
    this.#threads = new ByteBoundedLru({
      maxEntries: options.maxThreads,
      maxBytes: options.maxBytes,
      sizeOf: ({ bytes }) => bytes,
    })
  }

  async put(
    thread: string,
    checkpoint: StoredCheckpoint,
    values: ReadonlyMap<string, string>,
  ): Promise<void> {
    const held = this.#of(thread)
    for (const [digest, text] of values) {
      if (!held.values.has(digest)) held.bytes += 2 * text.length
      held.values.set(digest, text)
    }
    held.checkpoints.set(nameOf(checkpoint.namespace, checkpoint.id), checkpoint)
    held.bytes += 2 * checkpoint.text.length
    this.#threads.set(thread, held, this.#ttlMs)
  }

  async putWrites(
    thread: string,
    namespace: string,
    id: string,
    writes: readonly StoredWrite[],
  ): Promise<void> {
    const held = this.#of(thread)
    const name = nameOf(namespace, id)
    const own = held.writes.get(name) ?? new Map<string, StoredWrite>()
    held.writes.set(name, own)
    for (const write of writes) {
      const key = `${write.task},${write.index}`
      if (own.has(key) && write.index >= 0) continue
      held.bytes += 2 * write.text.length
      own.set(key, write)
    }
    this.#threads.set(thread, held, this.#ttlMs)
  }

  async read(thread: string, namespace: string, id: string | undefined): Promise<ReadCheckpoint | undefined> {
    const held = this.#threads.get(thread)
    const latest = id ?? (await this.names(thread)).find(([own]) => own === namespace)?.[1]
    const checkpoint = latest === undefined ? undefined : held?.checkpoints.get(nameOf(namespace, latest))
    if (held === undefined || checkpoint === undefined) return undefined
    const values = new Map<string, string>()
    const add = (digest: string) => {
      const text = held.values.get(digest) ?? ''
      values.set(digest, text)
      for (const element of elementsOf(text) ?? []) add(element)
    }
    for (const digest of checkpoint.digests) add(digest)
    const writes = [...(held.writes.get(nameOf(namespace, checkpoint.id))?.values() ?? [])]
    return { ...checkpoint, values, writes }
  }

  async names(thread: string): Promise<readonly (readonly [string, string])[]> {
    const checkpoints = [...(this.#threads.get(thread)?.checkpoints.values() ?? [])]
    return checkpoints
      .map(({ namespace, id }) => [namespace, id] as const)
      .sort(([one, first], [other, second]) =>
        one === other ? (first < second ? 1 : -1) : one < other ? -1 : 1,
      )
  }

  async *threads(): AsyncIterable<string> {
    for (const [thread] of this.#threads.entries()) yield thread
  }

  async delete(thread: string): Promise<void> {
    this.#threads.delete(thread)
  }

  #of(thread: string): HeldThread {
    const empty = { checkpoints: new Map(), values: new Map(), writes: new Map(), bytes: 0 }
    return this.#threads.get(thread) ?? empty
  }
}

function nameOf(namespace: string, id: string): string {
  return JSON.stringify([namespace, id])
}
