import { randomUUID } from 'node:crypto'
import { ByteBoundedLru, type Clock } from '@evenkeel/core'
import type { EntryStore, Reading } from '../store.js'

export interface MemoryEntryStoreOptions {
  readonly maxEntries?: number | undefined
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

const maxNamespaces = 10_000

/** Answers in this process, bounded in entries and bytes. */
export class MemoryEntryStore implements EntryStore {
  readonly #entries: ByteBoundedLru<Buffer>
  readonly #epochs: ByteBoundedLru<string>

  constructor({ maxEntries, maxBytes, clock }: MemoryEntryStoreOptions = {}) {
    this.#entries = new ByteBoundedLru({ maxEntries, maxBytes, clock, sizeOf: (entry) => entry.byteLength })
    this.#epochs = new ByteBoundedLru({ maxEntries: maxNamespaces, clock, sizeOf: (epoch) => epoch.length })
  }

  get entries(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.bytes
  }

  async read(namespace: string, key: string): Promise<Reading> {
    return { entry: this.#entries.get(`${namespace}\0${key}`), epoch: this.#epoch(namespace) }
  }

  async write(namespace: string, key: string, entry: Buffer, ttlMs: number): Promise<void> {
    this.#entries.set(`${namespace}\0${key}`, entry, ttlMs)
  }

  async clear(namespace: string, epoch: string): Promise<void> {
    this.#epochs.set(namespace, epoch)
  }

  #epoch(namespace: string): string {
    const known = this.#epochs.get(namespace)
    if (known !== undefined) return known
    const epoch = randomUUID()
    this.#epochs.set(namespace, epoch)
    return epoch
  }
}
