import { type Clock, type Connection, defineScript, type Reply } from '@evenkeel/core'
import { systemClock } from '@evenkeel/core/kit'
import changesLua from '../../scripts/semantic-changes.lua'
import { PlaceMap } from './memory.js'
import type { AddOptions, Neighbour, Observation, Place, Row, SemanticIndex } from './port.js'
import { RedisRows } from './redis.js'
import { VectorRows } from './vector-rows.js'

const changesScript = defineScript({ name: 'semantic.changes', lua: changesLua, readOnly: true })

interface Mirror {
  readonly rows: VectorRows
  readonly generation: string
  change: number
}

/** Maximum number of rows in one reply: 1.5 MB with vectors of 1,536 dimensions. */
const pageSize = 256

/**
 * Rows in Redis, copied into this process and searched exactly there: for servers without vector sets. A look-up
 * asks what changed since the last one: one round trip for each 256 changed rows, and at least one. The copies are
 * bounded in bytes; a place whose copy was dropped is read again.
 */
export class MirroredIndex implements SemanticIndex {
  readonly #rows: RedisRows
  readonly #mirrors: PlaceMap<Mirror>
  readonly #clock: Clock

  constructor(redis: Connection, { maxBytes = 64 << 20, clock = systemClock }: MirroredIndexOptions = {}) {
    this.#rows = new RedisRows(redis, 'hash')
    this.#mirrors = new PlaceMap(maxBytes, ({ rows }) => rows.bytes)
    this.#clock = clock
  }

  get bytes(): number {
    return this.#mirrors.bytes
  }

  async nearest(place: Place, vector: Float32Array, count: number): Promise<readonly Neighbour[]> {
    const { rows } = await this.#follow(place)
    return rows.nearest(vector, count, this.#clock.now())
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

  async #follow(place: Place): Promise<Mirror> {
    let mirror = this.#mirrors.get(place)
    for (;;) {
      const args = [mirror?.generation ?? '', String(mirror?.change ?? 0), String(pageSize)]
      const page = readPage(await this.#rows.run(changesScript, place, args, true))
      if (mirror?.generation !== page.generation) {
        mirror = { rows: new VectorRows(), generation: page.generation, change: 0 }
      }
      // Another look-up may have brought the copy further meanwhile; then this page is outdated.
      if (page.change >= mirror.change) {
        for (const row of page.rows) this.#take(mirror, row)
        mirror.change = page.change
      }
      if (!page.more) {
        mirror.rows.trim(page.maxRows, this.#clock.now())
        this.#mirrors.set(place, mirror)
        return mirror
      }
    }
  }

  #take({ rows }: Mirror, { id, endsInMs, sheet, vector, seen }: ChangedRow): void {
    if (sheet === '' || endsInMs <= 0) return rows.delete(id)
    // The remaining time comes from the server's clock; this process's clock counts it down.
    rows.set({ id, vector, sheet, seen, expiresAtMs: this.#clock.now() + endsInMs })
  }
}

export interface MirroredIndexOptions {
  /** Maximum size of all copies. A place that is larger is read again by each look-up. @default 64 MiB */
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

interface ChangedRow {
  readonly id: string
  readonly endsInMs: number
  readonly sheet: string
  readonly vector: Float32Array
  readonly seen: string
}

interface Page {
  readonly generation: string
  readonly change: number
  readonly more: boolean
  readonly maxRows: number
  readonly rows: readonly ChangedRow[]
}

function readPage(reply: Reply): Page {
  const [generation, change, more, now, maxRows, fields] = Array.isArray(reply) ? reply : []
  const list = Array.isArray(fields) ? fields : []
  const nowMs = Number(now)
  const rows: ChangedRow[] = []
  for (let at = 0; at + 4 < list.length; at += 5) {
    const [id, ends, sheet, vector, seen] = list.slice(at, at + 5)
    rows.push({
      id: String(id),
      endsInMs: Number(String(ends)) - nowMs,
      sheet: String(sheet),
      vector: floatsOf(vector),
      seen: String(seen),
    })
  }
  return {
    generation: String(generation ?? ''),
    change: Number(change),
    more: more === 1,
    maxRows: Number(maxRows),
    rows,
  }
}

function floatsOf(bytes: Reply | undefined): Float32Array {
  if (!Buffer.isBuffer(bytes)) return new Float32Array()
  // A copy, since a Buffer may not be aligned for floats.
  const copy = new Uint8Array(bytes)
  return new Float32Array(copy.buffer, 0, Math.floor(copy.byteLength / 4))
}
