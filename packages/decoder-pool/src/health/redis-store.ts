import { type Connection, createKeyspace, defineScript, type Keyspace, type Reply } from '@evenkeel/core'
import shareLua from '../scripts/share-verdicts.lua'
import trialLua from '../scripts/trial.lua'
import type { HealthStore, OwnVerdict, SharedVerdicts } from './store.js'

const shareScript = defineScript({ name: 'decoder-pool.share-verdicts', lua: shareLua })
const trialScript = defineScript({ name: 'decoder-pool.trial', lua: trialLua })

export interface RedisHealthStoreOptions {
  /** The time in milliseconds, for tests. @default the server's */
  readonly now?: (() => number) | undefined
}

/** Verdicts and permits beside the pool's registry: one round trip an operation, and nothing that stays for ever. */
export class RedisHealthStore implements HealthStore {
  readonly #redis: Connection
  readonly #pool: string
  readonly #keyspace: Keyspace
  readonly #now: (() => number) | undefined

  constructor(redis: Connection, pool: string, { now }: RedisHealthStoreOptions = {}) {
    this.#redis = redis
    this.#pool = pool
    this.#keyspace = createKeyspace(redis.namespace, 'decoder-pool')
    this.#now = now
  }

  async share(
    by: string,
    verdicts: readonly OwnVerdict[],
    keepMs: number,
    mark?: number,
  ): Promise<SharedVerdicts> {
    const keys = [this.#key('verdicts'), this.#key('verdict-marks')]
    const told = verdicts.flatMap(({ node, healthy, forMs }) => [
      node,
      healthy ? '1' : '0',
      String(Math.floor(forMs)),
    ])
    const time = this.#now === undefined ? '' : String(this.#now() * 1_000)
    const args = [by, String(keepMs), mark === undefined ? '' : String(mark), time, ...told]
    const [newest, complete, others] = asList(await this.#redis.run(shareScript, keys, args))
    return {
      mark: Number(newest),
      complete: complete === 1,
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

  async takeTrial(node: string, by: string, ttlMs: number): Promise<boolean> {
    return (await this.#redis.run(trialScript, [this.#trial(node)], [by, String(ttlMs)])) === 1
  }

  async giveTrial(node: string, by: string): Promise<void> {
    await this.#redis.run(trialScript, [this.#trial(node)], [by, '0'])
  }

  #trial(node: string): string {
    return this.#key('trial', node)
  }

  #key(...parts: readonly string[]): string {
    return this.#keyspace.key(this.#pool, ...parts)
  }
}

function asList(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? reply : []
}
