import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Connection } from '@evenkeel/core'
import { createLog, listen, parseJson } from '@evenkeel/core/kit'
import type { MemoryStats } from '../metrics.js'

const log = createLog('agent-memory')

const channel = 'agent-memory:stats'

/** Time to answer; an instance that takes longer is not counted. */
const answerMs = 300

/** Counts of several instances, added up. */
export interface SharedMemoryStats extends MemoryStats {
  /** Number of instances counted, this one included. */
  readonly instances: number
}

/**
 * Asks all instances for their counts by pub/sub. Nothing is stored in Redis, and it costs nothing until someone asks.
 */
export class StatsPoll {
  readonly #redis: Connection
  readonly #read: () => MemoryStats
  /** Identifies this memory, which does not answer itself. */
  readonly #own = randomUUID()
  readonly #stopListening: () => Promise<void>

  constructor(redis: Connection, read: () => MemoryStats) {
    this.#redis = redis
    this.#read = read
    const heard = (asker: string) => {
      if (asker !== this.#own) this.#answer(asker)
    }
    this.#stopListening = listen(redis, channel, heard, {
      onError: (error) => log('others can not ask for counts: %s', error),
    })
  }

  /** @throws ReplyError when the Redis user may not subscribe */
  async ask(): Promise<SharedMemoryStats> {
    const answers: MemoryStats[] = []
    const heard = (message: string) => {
      const stats = parse(message)
      if (stats !== undefined) answers.push(stats)
    }
    const subscription = await this.#redis.subscribe(inboxOf(this.#own), heard)
    try {
      await this.#redis.publish(channel, this.#own)
      await pause(answerMs)
    } finally {
      await subscription.close().catch(() => {})
    }
    return shared([this.#read(), ...answers])
  }

  close(): void {
    void this.#stopListening()
  }

  #answer(asker: string): void {
    const stats = JSON.stringify(this.#read())
    this.#redis.publish(inboxOf(asker), stats).catch((error: unknown) => log('not answered: %s', error))
  }
}

/** @param all of at least one instance */
export function shared(all: readonly MemoryStats[]): SharedMemoryStats {
  const [first, ...others] = all
  if (first === undefined) throw new TypeError('Counts of no instance')
  return { ...others.reduce((sum, one) => added(sum, one), first), instances: all.length }
}

/** The keys of `one` decide: an instance of a newer version may count more. */
function added<T extends object>(one: T, other: object): T {
  const amounts = new Map<string, unknown>(Object.entries(other))
  const sums = Object.entries(one).map(([name, value]: [string, unknown]) => {
    const amount = amounts.get(name)
    if (typeof value === 'number') return [name, value + (typeof amount === 'number' ? amount : 0)]
    if (typeof value !== 'object' || value === null) return [name, value]
    return [name, added(value, typeof amount === 'object' && amount !== null ? amount : {})]
  })
  return Object.fromEntries(sums) as T
}

function parse(message: string): MemoryStats | undefined {
  const stats = parseJson(message)
  return typeof stats === 'object' && stats !== null ? (stats as MemoryStats) : undefined
}

function inboxOf(asker: string): string {
  return `${channel}:${asker}`
}
