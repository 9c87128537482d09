import type { Connection, Reply } from '@evenkeel/core'
import { TickBatcher } from '@evenkeel/core/kit'

interface ReadRequest {
  readonly key: string
  readonly others: readonly string[]
}

export interface Read {
  readonly value: Buffer | undefined
  readonly others: readonly (Buffer | undefined)[]
}

/** Maximum number of reads in a command: a larger one would block the server for other clients too long. */
const maxReads = 32

/**
 * Sends the reads of one turn of the event loop in one MGET, which names a key that several reads share (the version of
 * their tenant) once. In a Cluster, whose keys are on many nodes, each key is a GET, sent in the same turn.
 */
export class TurnReads {
  readonly #redis: Connection
  readonly #batcher: TickBatcher<ReadRequest, Read>

  constructor(redis: Connection) {
    this.#redis = redis
    this.#batcher = new TickBatcher({ max: maxReads, send: (requests) => this.#send(requests) })
  }

  read(key: string, others: readonly string[]): Promise<Read> {
    return this.#batcher.add({ key, others })
  }

  async #send(requests: readonly ReadRequest[]): Promise<readonly Read[]> {
    const places = new Map<string, number>()
    for (const { key, others } of requests) {
      if (!places.has(key)) places.set(key, places.size)
      for (const other of others) if (!places.has(other)) places.set(other, places.size)
    }
    const values = await this.#get([...places.keys()])
    const found = (key: string) => values[places.get(key) ?? -1]
    return requests.map(({ key, others }) => ({ value: found(key), others: others.map(found) }))
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
