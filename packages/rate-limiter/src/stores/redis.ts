import { type Connection, createKeyspace, defineScript, type Keyspace, type Reply } from '@evenkeel/core'
import { slotMs } from '../algorithms/sliding-window.js'
import type { Verdict } from '../algorithms/verdict.js'
import type { Limit } from '../options.js'
import decideLua from '../scripts/decide.lua'
import type { Decision, Demand, LimitStore } from '../store.js'

const decideScript = defineScript({ name: 'rate-limiter.decide', lua: decideLua })
const verdictLength = 4

export interface RedisLimitStoreOptions {
  /** Keeps apart limiters that share a Redis. */
  readonly name: string
  /** Stands in for the server's clock, in tests that compare two stores. */
  readonly now?: (() => number) | undefined
}

/** The limits of all instances together. One round trip a decision, on the node that holds the subject. */
export class RedisLimitStore implements LimitStore {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #now: (() => number) | undefined

  constructor(redis: Connection, { name, now }: RedisLimitStoreOptions) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, `rate-limiter:${name}`)
    this.#now = now
  }

  async decide(subject: string, demands: readonly Demand[], peek: boolean): Promise<Decision> {
    const keys = demands.flatMap((demand) => this.#keysOf(subject, demand))
    const now = this.#now === undefined ? '' : String(Math.floor(this.#now()))
    const args = [peek ? '0' : '1', now, ...demands.flatMap(argumentsOf)]
    return readDecision(await this.#redis.run(decideScript, keys, args), demands.length)
  }

  async reset(subject: string, demands: readonly Pick<Demand, 'name' | 'limit'>[]): Promise<void> {
    const keys = demands.flatMap((demand) => this.#keysOf(subject, demand))
    await this.#redis.command(['UNLINK', ...keys], { key: keys[0] })
  }

  #keysOf(subject: string, { name, limit }: Pick<Demand, 'name' | 'limit'>): string[] {
    const key = this.#keys.key(subject, name)
    // The length of the window is part of the name: charges under another one can't be compared with it.
    if (limit.kind === 'sliding-window') return [`${key}:w${limit.windowMs}`, `${key}:c${limit.windowMs}`]
    return [`${key}:b${limit.everyMs}`]
  }
}

function argumentsOf({ limit, cost }: Demand): string[] {
  return [
    limit.kind === 'sliding-window' ? 'w' : 'b',
    ...[cost, limit.limit, ...parametersOf(limit)].map(String),
  ]
}

function parametersOf(limit: Limit): [number, number] {
  return limit.kind === 'sliding-window' ? [limit.windowMs, slotMs(limit)] : [limit.refill, limit.everyMs]
}

function readDecision(reply: Reply, count: number): Decision {
  const numbers = Array.isArray(reply) ? reply.map(Number) : []
  const verdicts = Array.from({ length: count }, (_, index): Verdict => {
    const [allowed, remaining = 0, retryAfterMs = 0, resetAtMs = 0] = numbers.slice(1 + index * verdictLength)
    return { allowed: allowed === 1, remaining, retryAfterMs, resetAtMs }
  })
  return { allowed: numbers[0] === 1, verdicts }
}
