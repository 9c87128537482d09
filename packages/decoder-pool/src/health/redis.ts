import { type Connection, defineScript, type Reply } from '@evenkeel/core'
import { createKeyspace, type Keyspace } from '@evenkeel/core/kit'
import { KeyGroup } from '../key-group.js'
import leaveLua from '../scripts/leave-probers.lua'
import trialLua from '../scripts/probe-permit.lua'
import shareLua from '../scripts/share-verdicts.lua'
import type { HealthStore, HealthWord, SharedVerdicts } from './port.js'

const shareScript = defineScript({ name: 'decoder-pool.share-verdicts', lua: shareLua })
const leaveScript = defineScript({ name: 'decoder-pool.leave-probers', lua: leaveLua })
const trialScript = defineScript({ name: 'decoder-pool.trial', lua: trialLua })

export interface RedisHealthStoreOptions {
  /** The time in milliseconds, for tests. @default the server's */
  readonly now?: (() => number) | undefined
}

/** Verdicts and permits, with the hash tag of the registry. One round trip for each operation; all keys expire. */
export class RedisHealthStore implements HealthStore {
  readonly #redis: Connection
  readonly #pool: string
  readonly #keyspace: Keyspace
  readonly #group: KeyGroup
  readonly #now: (() => number) | undefined

  constructor(redis: Connection, pool: string, { now }: RedisHealthStoreOptions = {}) {
    this.#redis = redis
    this.#pool = pool
    this.#keyspace = createKeyspace(redis.namespace, 'decoder-pool')
    this.#group = new KeyGroup(redis, pool, [
      [this.#key('verdicts'), 'hash'],
      [this.#key('verdict-marks'), 'sorted set'],
      [this.#key('probers'), 'hash'],
    ])
    this.#now = now
  }

  async share(word: HealthWord, mark?: number): Promise<SharedVerdicts> {
    const { by, region = '', aliveMs, keepMs, verdicts } = word
    const told = verdicts.flatMap(({ node, healthy, forMs }) => [
      node,
      healthy ? '1' : '0',
      String(Math.floor(forMs)),
    ])
    const time = this.#now === undefined ? '' : String(this.#now() * 1_000)
    const own = [by, region, Math.floor(aliveMs), Math.floor(keepMs), mark ?? ''].map(String)
    const reply = await this.#group.run(shareScript, [...own, time, ...told])
    const [newest, complete, others, probers] = asList(reply)
    return {
      mark: Number(newest),
      complete: complete === 1,
      probers: asList(probers).map((one) => {
        const [id, where] = asList(one).map(String)
        return { id: id ?? '', region: where === '' ? undefined : where }
      }),
      verdicts: asList(others).map((one) => {
        const [teller, node, healthy, forMs, toldMs] = asList(one)
        return {
          by: String(teller),
          node: String(node),
          healthy: String(healthy) === '1',
          forMs: Number(forMs),
          toldMs: Number(toldMs),
        }
      }),
    }
  }

  async leave(by: string): Promise<void> {
    await this.#group.run(leaveScript, [by])
  }

  async takeTrial(node: string, by: string, ttlMs: number): Promise<boolean> {
    return (await this.#trial(node, by, Math.ceil(ttlMs))) === 1
  }

  async giveTrial(node: string, by: string): Promise<void> {
    await this.#trial(node, by, 0)
  }

  #trial(node: string, by: string, ttlMs: number): Promise<Reply> {
    const time = this.#now === undefined ? '' : String(this.#now())
    const permit = new KeyGroup(this.#redis, this.#pool, [[this.#key('trial', node), 'text']])
    return permit.run(trialScript, [by, String(ttlMs), time])
  }

  #key(...parts: readonly string[]): string {
    return this.#keyspace.key(this.#pool, ...parts)
  }
}

function asList(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? reply : []
}
