import type { Connection } from '@evenkeel/core'
import { createLog, isOutage, notify } from '@evenkeel/core/kit'
import type { CheckpointStore, StoredCheckpoint, StoredWrite } from './port.js'

const log = createLog('agent-memory')

interface HeldWrite {
  readonly bytes: number
  store(): Promise<void>
}

/**
 * Holds in this process what can't be stored while Redis is away, and stores it when Redis is back, in the order in
 * which it came. LangGraph writes while its nodes run and awaits the writes at the end of a run: one that rejected
 * meanwhile would be an unhandled rejection, which ends the process.
 *
 * Reads wait until all is stored, and reject while that is not possible. What is held is lost with the process.
 */
export class HeldCheckpoints implements CheckpointStore {
  readonly #store: CheckpointStore
  readonly #redis: Connection
  readonly #maxBytes: number
  readonly #held: HeldWrite[] = []
  #bytes = 0
  #storing: Promise<void> | undefined
  #stopListening: (() => void) | undefined

  constructor(store: CheckpointStore, redis: Connection, maxBytes: number) {
    this.#store = store
    this.#redis = redis
    this.#maxBytes = maxBytes
  }

  put(thread: string, checkpoint: StoredCheckpoint, values: ReadonlyMap<string, string>): Promise<void> {
    const texts = [checkpoint.text, ...checkpoint.digests, ...values.values()]
    return this.#write(texts, () => this.#store.put(thread, checkpoint, values))
  }

  putWrites(thread: string, namespace: string, id: string, writes: readonly StoredWrite[]): Promise<void> {
    const texts = writes.map(({ text }) => text)
    return this.#write(texts, () => this.#store.putWrites(thread, namespace, id, writes))
  }

  async read(thread: string, namespace: string, id: string | undefined) {
    await this.#storeHeld()
    return this.#store.read(thread, namespace, id)
  }

  async names(thread: string) {
    await this.#storeHeld()
    return this.#store.names(thread)
  }

  async *threads(): AsyncIterable<string> {
    await this.#storeHeld()
    yield* this.#store.threads()
  }

  async delete(thread: string): Promise<void> {
    await this.#storeHeld()
    await this.#store.delete(thread)
  }

  async #write(texts: readonly string[], store: () => Promise<void>): Promise<void> {
    try {
      await this.#storeHeld()
      await store()
    } catch (error) {
      const bytes = texts.reduce((sum, text) => sum + 2 * text.length, 100)
      if (!isOutage(error) || this.#bytes + bytes > this.#maxBytes) throw error
      this.#held.push({ bytes, store })
      this.#bytes += bytes
      this.#stopListening ??= this.#redis.on('up', () => {
        this.#storeHeld().catch((cause: unknown) => log('held checkpoints can not be stored yet: %s', cause))
      })
    }
  }

  /** Stores what is held, one after the other. Rejects while Redis can't take it. */
  #storeHeld(): Promise<void> {
    if (this.#held.length === 0) return Promise.resolve()
    this.#storing ??= this.#storeAll().finally(() => {
      this.#storing = undefined
    })
    return this.#storing
  }

  async #storeAll(): Promise<void> {
    for (let next = this.#held[0]; next !== undefined; next = this.#held[0]) {
      try {
        await next.store()
      } catch (error) {
        if (isOutage(error)) throw error
        // The server refuses it and always would, so it is dropped and must not hold up the others.
        const message = `A checkpoint of an outage could not be stored: ${(error as Error).message}`
        notify(this.#redis.logger, 'warn', message, 'EVENKEEL_CHECKPOINT')
      }
      this.#held.shift()
      this.#bytes -= next.bytes
    }
    this.#stopListening?.()
    this.#stopListening = undefined
  }
}
