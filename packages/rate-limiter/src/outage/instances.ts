import { randomUUID } from 'node:crypto'
import { type Connection, createKeyspace, createLog, defineScript } from '@evenkeel/core'
import membersLua from '../scripts/instances.lua'
import type { Share } from './share.js'

const log = createLog('rate-limiter')
const script = defineScript({ name: 'rate-limiter.members', lua: membersLua })
const beatMs = 2_000
const firstBeatMs = 125
/** An instance that missed two beats is gone. */
const countsMs = 3 * beatMs

export interface InstancesOptions {
  readonly name: string
  readonly id: string
  /** How many share the limits as long as none was seen. */
  readonly expected: number
  /** Redis no longer knows what it knew: emptied, or taken over by a server that lagged behind. */
  readonly onLoss: () => void
}

/** The instances of one limiter, as they announce themselves in Redis. One command every two seconds. */
export class Instances {
  readonly #redis: Connection
  readonly #options: InstancesOptions
  readonly #keys: readonly string[]
  #share: Share
  #seen: { readonly epoch: string; readonly beats: number } | undefined
  #heldUntilMs = 0
  #timer: NodeJS.Timeout | undefined
  #beating: Promise<void> | undefined

  constructor(redis: Connection, options: InstancesOptions) {
    this.#redis = redis
    this.#options = options
    this.#share = { instances: options.expected }
    const keys = createKeyspace(redis.namespace, `rate-limiter:${options.name}`)
    this.#keys = [keys.key('instances', 'members'), keys.key('instances', 'epoch')]
  }

  /** As last seen; while Redis is away nobody is seen to come or go. */
  get share(): Share {
    return this.#share
  }

  /** Announces this instance from now on; may be called again. */
  start(): void {
    if (this.#timer !== undefined) return
    this.#next(0)
  }

  /**
   * Redis is back, perhaps empty: until all have announced themselves again, nobody who was there counts as gone.
   */
  returned(): void {
    if (this.#timer === undefined) return
    this.#heldUntilMs = performance.now() + countsMs
    clearTimeout(this.#timer)
    this.#next(0)
  }

  /** Quickly at first: instances that start together must know of each other before an outage. */
  #next(afterMs: number): void {
    this.#timer = setTimeout(() => {
      if (this.#redis.state === 'up') this.beat().catch((error: unknown) => log('no beat: %s', error))
      this.#next(Math.min(beatMs, Math.max(firstBeatMs, afterMs * 2)))
    }, afterMs)
    this.#timer.unref()
  }

  /** Announces this instance now. One round trip. */
  beat(): Promise<void> {
    // One at a time: answers that overtake each other would look like a server that went back.
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async #beat(): Promise<void> {
    const args = [this.#options.id, String(countsMs), randomUUID()]
    const reply = await this.#redis.run(script, this.#keys, args)
    const [instances, rank, epoch, beats] = Array.isArray(reply) ? reply : []
    const share = { instances: Number(instances), rank: Number(rank) }
    // The same object while nothing changes: shares of limits are worked out once for each.
    const isFewer = share.instances < this.#share.instances
    const isSame = share.instances === this.#share.instances && share.rank === this.#share.rank
    if (!isSame && !(isFewer && performance.now() < this.#heldUntilMs)) this.#share = share
    const before = this.#seen
    this.#seen = { epoch: String(epoch), beats: Number(beats) }
    if (before === undefined) return
    if (before.epoch !== this.#seen.epoch || before.beats >= this.#seen.beats) {
      log('Redis lost data: what this instance charged is charged again')
      this.#options.onLoss()
    }
  }

  async close(): Promise<void> {
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    const key = this.#keys[0] ?? ''
    if (this.#redis.state === 'up')
      await this.#redis.command(['ZREM', key, this.#options.id], { key }).catch(() => {})
  }
}
