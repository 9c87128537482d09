import { randomUUID } from 'node:crypto'
import { type Connection, defineScript, type Reply, ReplyError, type Script } from '@evenkeel/core'
import { createKeyspace, type Keyspace } from '@evenkeel/core/kit'
import addLua from '../../scripts/semantic-add.lua'
import nearestLua from '../../scripts/semantic-nearest.lua'
import observeLua from '../../scripts/semantic-observe.lua'
import removeLua from '../../scripts/semantic-remove.lua'
import { decodeObservations, encodeObservation } from './observations.js'
import {
  type AddOptions,
  maxObservations,
  type Neighbour,
  type Observation,
  type Place,
  type Row,
  type SemanticIndex,
} from './port.js'

const addScript = defineScript({ name: 'semantic.add', lua: addLua })
const nearestScript = defineScript({ name: 'semantic.nearest', lua: nearestLua, readOnly: true })
const observeScript = defineScript({ name: 'semantic.observe', lua: observeLua })
const removeScript = defineScript({ name: 'semantic.remove', lua: removeLua })

/** The keys and writes that both ways of searching share. */
export class RedisRows {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #kind: 'set' | 'hash'

  constructor(redis: Connection, kind: 'set' | 'hash') {
    this.#redis = redis
    this.#kind = kind
    // Each kind has its own keys: when a server gets vector sets, the index starts empty.
    this.#keys = createKeyspace(redis.namespace, kind === 'set' ? 'llm-vectors' : 'llm-rows')
  }

  async add(place: Place, { id, vector, sheet }: Row, { ttlMs, maxRows }: AddOptions): Promise<void> {
    const bounds = [String(Math.ceil(ttlMs)), String(maxRows)]
    await this.run(addScript, place, [id, sheet, bytesOf(vector), ...bounds, this.#kind, randomUUID()])
  }

  async remove(place: Place, id: string): Promise<void> {
    await this.run(removeScript, place, [id, this.#kind])
  }

  async observe(place: Place, id: string, observation: Observation): Promise<void> {
    const line = encodeObservation(observation)
    await this.run(observeScript, place, [id, observation.id, line, String(maxObservations), this.#kind])
  }

  run(script: Script, place: Place, args: readonly (string | Buffer)[], buffers = false): Promise<Reply> {
    const subject = [place.tenant, place.space, place.scope].map(encodeURIComponent).join('/')
    const names = ['sheets', 'seen', 'vectors', 'ends', 'changes', 'place']
    return this.#redis.run(
      script,
      names.map((name) => this.#keys.key(subject, name)),
      args,
      { buffers },
    )
  }
}

/** Rows in vector sets (Redis 8): the server finds the nearest. One round trip per operation. */
export class VectorSetIndex implements SemanticIndex {
  readonly #rows: RedisRows

  constructor(redis: Connection) {
    this.#rows = new RedisRows(redis, 'set')
  }

  async nearest(place: Place, vector: Float32Array, count: number): Promise<readonly Neighbour[]> {
    const reply = await this.#rows.run(nearestScript, place, [bytesOf(vector), String(count)])
    const fields = Array.isArray(reply) ? reply.map(String) : []
    const found: Neighbour[] = []
    for (let at = 0; at + 3 < fields.length; at += 4) {
      const [id = '', score, sheet = '', seen = ''] = fields.slice(at, at + 4)
      // The server's score is (1 + cosine) / 2.
      const similarity = 2 * Number(score) - 1
      found.push({ id, similarity, sheet, observations: decodeObservations(seen) })
    }
    return found
  }

  add(place: Place, row: Row, options: AddOptions): Promise<void> {
    return this.#rows.add(place, row, options)
  }

  remove(place: Place, id: string): Promise<void> {
    return this.#rows.remove(place, id)
  }

  observe(place: Place, id: string, observation: Observation): Promise<void> {
    return this.#rows.observe(place, id, observation)
  }
}

/** Whether the server has vector sets. One round trip. @throws as the connection's commands do */
export async function hasVectorSets(redis: Connection): Promise<boolean> {
  try {
    const reply = await redis.command(['COMMAND', 'INFO', 'VSIM'])
    return Array.isArray(reply) && Array.isArray(reply[0])
  } catch (error) {
    // An ACL may forbid the question; exact search works on every server.
    if (ReplyError.isInstance(error)) return false
    throw error
  }
}

export function bytesOf(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
}
