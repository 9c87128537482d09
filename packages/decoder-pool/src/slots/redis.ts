import { type Connection, defineScript, type Reply } from '@evenkeel/core'
import { createKeyspace } from '@evenkeel/core/kit'
import { KeyGroup, type TypedKey } from '../key-group.js'
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

/** Slots in Redis. All keys share the hash tag of the pool's registry. */
export class RedisSlotStore implements SlotStore {
  readonly #redis: Connection
  readonly #now: (() => number) | undefined
  readonly #totals: string
  readonly #groupOf: (coordinator: string) => KeyGroup
  /** The keys of the coordinator that used this store last. */
  #own: { readonly id: string; readonly group: KeyGroup } | undefined

  constructor(redis: Connection, pool: string, { now }: RedisSlotStoreOptions = {}) {
    const { key } = createKeyspace(redis.namespace, 'decoder-pool')
    this.#redis = redis
    this.#now = now
    this.#totals = key(pool, 'slots')
    const shared: readonly TypedKey[] = [
      [key(pool, 'coordinators'), 'sorted set'],
      [this.#totals, 'hash'],
    ]
    const waiting: readonly TypedKey[] = [
      [key(pool, 'slots-waiting'), 'sorted set'],
      [key(pool, 'slots-offered'), 'hash'],
    ]
    this.#groupOf = (id) =>
      new KeyGroup(redis, pool, [...shared, [key(pool, 'slots', id), 'hash'], ...waiting])
  }

  async heartbeat(
    me: Coordinator,
    sequence: number,
    held: SlotCounts,
    leaseMs: number,
  ): Promise<HeartbeatReply> {
    const group = this.#group(me.id)
    const args = [member(me), sequence, leaseMs, keepMs, this.#micros(), ...flat(held)]
    const [known, live, totals, dead, hadLost] = asList(
      await group.run(heartbeatScript, args.map(String), group.keys.slice(0, 3)),
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
    const args = [member(me), sequence, offerMs, this.#micros(), held.size, ...flat(held)]
    args.push(waiting.size, ...flat(waiting))
    for (const { requirement, waitedMs, candidates } of requests) {
      args.push(requirement, Math.floor(waitedMs), candidates.length)
      for (const { node, capacity } of candidates) args.push(node, capacity)
    }
    const reply = asList(await this.#group(me.id).run(takeScript, args.map(String)))
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
    const group = this.#groupOf(coordinator.id)
    const args = [member(coordinator), isEndedOnly ? '1' : '0', String(this.#micros())]
    await group.run(reapScript, args, group.keys.slice(0, 4))
  }

  #group(id: string): KeyGroup {
    if (this.#own?.id !== id) this.#own = { id, group: this.#groupOf(id) }
    return this.#own.group
  }

  #micros(): number | '' {
    return this.#now === undefined ? '' : this.#now() * 1_000
  }
}

/** The id contains no space; a region may. */
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
