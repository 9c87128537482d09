import type { Connection, Reply } from '@evenkeel/core'

interface ProviderRequest {
  readonly key: string
  readonly others: readonly string[]
  resolve(read: Read): void
  reject(error: unknown): void
}

export interface Read {
  readonly value: Buffer | undefined
  readonly others: readonly (Buffer | undefined)[]
}

/** A command with more of them keeps the server from others for too long. */
const maxReads = 32

/**
 * Reads of one turn of the event loop travel in one MGET: a command of its own costs each of them several
 * times what the reading costs. What several ask for (the versions of their tenant) goes once. In a Cluster,
 * whose keys are on many nodes, each is a GET, sent in the same turn.
 */
export class TurnReads {
  readonly #redis: Connection
  #asked: ProviderRequest[] = []
  readonly #flush = () => this.flush()

  constructor(redis: Connection) {
    this.#redis = redis
  }

  read(key: string, others: readonly string[]): Promise<Read> {
    return new Promise((resolve, reject) => {
      // After all microtasks: what the last reads set off leaves in one command again.
      if (this.#asked.length === 0) process.nextTick(this.#flush)
      if (this.#asked.push({ key, others, resolve, reject }) >= maxReads) this.flush()
    })
  }

  flush(): void {
    const asked = this.#asked
    if (asked.length === 0) return
    this.#asked = []
    const entryKeys = new Map<string, number>()
    const keys: string[] = []
    const placeOf = (key: string) => {
      const known = entryKeys.get(key)
      if (known !== undefined) return known
      entryKeys.set(key, keys.length)
      return keys.push(key) - 1
    }
    for (const { key, others } of asked) {
      placeOf(key)
      for (const other of others) placeOf(other)
    }
    this.#get(keys).then(
      (values) => {
        const found = (key: string) => values[entryKeys.get(key) ?? -1]
        for (const { key, others, resolve } of asked) {
          resolve({ value: found(key), others: others.map(found) })
        }
      },
      (error: unknown) => {
        for (const { reject } of asked) reject(error)
      },
    )
  }

  async #get(keys: readonly string[]): Promise<readonly (Buffer | undefined)[]> {
    const [only] = keys
    if (this.#redis.topology !== 'cluster' && keys.length > 1) {
      const reply = await this.#redis.command(['MGET', ...keys], { key: only, buffers: true })
      return Array.isArray(reply) ? reply.map(bufferOf) : []
    }
    return Promise.all(
      keys.map(async (key) => bufferOf(await this.#redis.command(['GET', key], { key, buffers: true }))),
    )
  }
}

function bufferOf(reply: Reply): Buffer | undefined {
  return Buffer.isBuffer(reply) ? reply : undefined
}
