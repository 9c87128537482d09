import { type Connection, defineScript, type Reply, ReplyError, type Script } from '@evenkeel/core'
import { notify } from '@evenkeel/core/kit'
import beginAnewLua from './scripts/begin-anew.lua'

const beginAnewScript = defineScript({ name: 'decoder-pool.begin-anew', lua: beginAnewLua })

const reading = { hash: 'HLEN', 'sorted set': 'ZCARD', stream: 'XREVRANGE', text: 'GET' } as const

/** A key, and what it holds. */
export type TypedKey = readonly [key: string, type: keyof typeof reading]

/**
 * Keys of a pool that are read and written together. If one of them has a type that no script of ours writes, all are
 * deleted and the call is repeated once: coordinators can bear the loss of the data, as after a flush, but a key that
 * refuses every call would stop them until somebody deletes it.
 */
export class KeyGroup {
  readonly keys: readonly string[]
  readonly #redis: Connection
  readonly #pool: string
  readonly #readings: readonly string[]

  constructor(redis: Connection, pool: string, keys: readonly TypedKey[]) {
    this.#redis = redis
    this.#pool = pool
    this.keys = keys.map(([key]) => key)
    this.#readings = keys.map(([, type]) => reading[type])
  }

  /** Runs a script on the group's keys, or on `keys` if it takes others. One round trip. */
  run(script: Script, args: readonly string[], keys = this.keys): Promise<Reply> {
    return this.call(() => this.#redis.run(script, keys, args))
  }

  async call(read: () => Promise<Reply>): Promise<Reply> {
    try {
      return await read()
    } catch (error) {
      if (!isWrongType(error)) throw error
      // If nothing had to be deleted, another call or coordinator has just done it.
      await this.#beginAnew()
      return read()
    }
  }

  async #beginAnew(): Promise<void> {
    const isDeleted = Number(await this.#redis.run(beginAnewScript, this.keys, this.#readings)) === 1
    if (!isDeleted) return
    const message = `a key of the decoder pool '${this.#pool}' held data of another program, which was deleted; the pool writes what it knows to Redis again`
    notify(this.#redis.logger, 'warn', message, 'EVENKEEL_POOL_UNREADABLE')
  }
}

/** Before Redis 7, the message of a script's error contains the command's error instead of beginning with it. */
function isWrongType(error: unknown): boolean {
  return ReplyError.isInstance(error) && error.message.includes('WRONGTYPE')
}
