import { ByteBoundedLru, cosine } from '@evenkeel/core/kit'
import type { MemoryThreadStore } from '../stores/memory.js'
import { nearest, type RecallHit, type RecallItem, type RecallStore } from './port.js'

/** Items that can be recalled, in this process; the number of owners is bounded. */
export class MemoryRecall implements RecallStore {
  readonly #threads: MemoryThreadStore
  readonly #owners = new ByteBoundedLru<Map<string, RecallItem>>({
    maxEntries: 1_000,
    sizeOf: (items) =>
      [...items.values()].reduce((sum, { vector, payload }) => sum + 4 * vector.length + payload.length, 0),
  })

  constructor(threads: MemoryThreadStore) {
    this.#threads = threads
    threads.onGone((owner, thread) => {
      if (thread === undefined) this.#owners.delete(owner)
    })
  }

  async generationOf(owner: string): Promise<number> {
    return this.#threads.generationOf({ owner, thread: '' })
  }

  async put(owner: string, items: readonly RecallItem[], removed: readonly string[]): Promise<void> {
    const own = this.#owners.get(owner) ?? new Map<string, RecallItem>()
    for (const id of removed) own.delete(id)
    for (const item of items) if (!this.#isOvertaken(owner, item)) own.set(item.id, item)
    this.#owners.set(owner, own)
  }

  async search(owner: string, vector: Float32Array, k: number): Promise<readonly RecallHit[]> {
    return nearest(this.#owners.get(owner)?.values() ?? [], vector, k, cosine)
  }

  async all(owner: string): Promise<ReadonlyMap<string, string>> {
    const items = [...(this.#owners.get(owner)?.values() ?? [])]
    return new Map(items.map(({ id, payload }) => [id, payload]))
  }

  #isOvertaken(owner: string, { since }: RecallItem): boolean {
    return (
      since !== undefined &&
      this.#threads.generationOf({ owner, thread: since.thread ?? '' }) > since.generation
    )
  }
}
