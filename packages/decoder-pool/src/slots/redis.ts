import { type Connection, defineScript, type Reply } from '@evenkeel/core'
import { createKeyspace } from '@evenkeel/core/kit'
import takeLua from '../scripts/acquire-slots.lua'
import heartbeatLua from '../scripts/heartbeat.lua'
import reapLua from '../scripts/reap.lua'
import {
  type Batch,
  type BatchResult,
  type Coordinator,
  type HeartbeatReply,
  offerMs,
  type SlotCounts,
  type SlotStore,
} from './port.js'

const heartbeatScript = defineScript({ name: 'decoder-pool.heartbeat', lua: heartbeatLua })
const reapScript = defineScript({ name: 'decoder-pool.reap', lua: reapLua })
const takeScript = defineScript({ name: 'decoder-pool.acquire-slots', lua: takeLua })

/** Time without any coordinator's heartbeat after which nothing of a pool is left. */
const keepMs = 24 * 60 * 60 * 1_000

export interface RedisSlotStoreOptions {
  /** The time in milliseconds, for tests. @default the server's */
  readonly now?: (() => number) | undefined
}

/** Slots beside the pool's registry; all keys share its hash tag. */
export class RedisSlotStore implements SlotStore {
  readonly #redis: Connection
  readonly #now: (() => number) | undefined
  readonly #coordinators: string
  readonly #totals: string
  readonly #waiting: string
  readonly #offers: string
  readonly #heldBy: (id: string) => string

  constructor(redis: Connection, pool: string, { now }: RedisSlotStoreOptions = {}) {
    const { key } = createKeyspace(redis.namespace, 'decoder-pool')
    this.#redis = redis
    this.#now = now
    this.#coordinators = key(pool, 'coordinators')
    this.#totals = key(pool, 'slots')
    this.#waiting = key(pool, 'slots-waiting')
    this.#offers = key(pool, 'slots-offered')
    this.#heldBy = (id) => key(pool, 'slots', id)
  }

  async heartbeat(
    me: Coordinator,
    sequence: number,
    held: SlotCounts,
    leaseMs: number,
  ): Promise<HeartbeatReply> {
    const keys = [this.#coordinators, this.#totals, this.#heldBy(me.id)]
    const args = [member(me), sequence, leaseMs, keepMs, this.#micros(), ...flat(held)]
    const [known, live, totals, dead, hadLost] = asList(
      await this.#redis.run(heartbeatScript, keys, args.map(String)),
    )
    const ended = asList(dead).map((one) => coordinatorIn(String(one)))
    const reply = {
      known: known === 1,
      live: [...gauges(live)].map(([one, leftMs]) => ({ ...coordinatorIn(one), leftMs })),
      totals: gauges(totals),
      hadLost: hadLost === 1,
    }
    if (ended.length === 0) return reply
    for (const one of ended) await this.#reap(one, true)
    const counted = await this.#redis.command(['HGETALL', this.#totals], { key: this.#totals })
    return { ...reply, totals: gauges(counted) }
  }

  async take(me: Coordinator, { sequence, held, requests, waiting }: Batch): Promise<BatchResult> {
    const keys = [this.#coordinators, this.#totals, this.#heldBy(me.id), this.#waiting, this.#offers]
    const args = [member(me), sequence, offerMs, this.#micros(), held.size, ...flat(held)]
    args.push(waiting.size, ...flat(waiting))
    for (const { requirement, waitedMs, candidates } of requests) {
      args.push(requirement, Math.floor(waitedMs), candidates.length)
      for (const { node, capacity } of candidates) args.push(node, capacity)
    }
    const reply = asList(await this.#redis.run(takeScript, keys, args.map(String)))
    const [known, given, totals, othersWait] = reply
    return {
      known: known === 1,
      given: asList(given).map((choice) => Number(choice) - 1),
      totals: gauges(totals),
      othersWait: othersWait === 1,
    }
  }

  async leave(me: Coordinator): Promise<void> {
    await this.#reap(me, false)
  }

  async #reap(coordinator: Coordinator, isEndedOnly: boolean): Promise<void> {
    const keys = [this.#coordinators, this.#totals, this.#heldBy(coordinator.id), this.#waiting]
    const args = [member(coordinator), isEndedOnly ? '1' : '0', String(this.#micros())]
    await this.#redis.run(reapScript, keys, args)
  }

  #micros(): number | '' {
    return this.#now === undefined ? '' : this.#now() * 1_000
  }
}

/** The id has no space in it; a region may have. */
function member({ id, region = '' }: Coordinator): string {
  return `${id} ${region}`
}

function coordinatorIn(text: string): Coordinator {
  const space = text.indexOf(' ')
  return { id: text.slice(0, space), region: text.slice(space + 1) || undefined }
}

function flat(counts: SlotCounts): (string | number)[] {
  return [...counts].flatMap(([name, count]) => [name, Math.floor(count)])
}

function gauges(reply: Reply | undefined): SlotCounts {
  const list = asList(reply)
  const counts = new Map<string, number>()
  for (let index = 0; index < list.length; index += 2) {
    counts.set(String(list[index]), Number(list[index + 1]))
  }
  return counts
}

function asList(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? reply : []
}
