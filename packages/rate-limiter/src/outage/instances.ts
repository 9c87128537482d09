import { randomUUID } from 'node:crypto'
import type { Connection } from '@evenkeel/core'
import { createKeyspace, createLog, defineScript, type Heartbeat, heartbeat } from '@evenkeel/core/kit'
import instancesLua from '../scripts/instances.lua'
import { type LocalLimiters, limitersOfProcess, warnOfOtherLimits } from './local-limiters.js'
import type { Share } from './share.js'

const log = createLog('rate-limiter')
const script = defineScript({ name: 'rate-limiter.instances', lua: instancesLua })
const beatMs = 2_000
const firstBeatMs = 125
/** An instance that has missed two beats counts as gone. */
const countsMs = 3 * beatMs
/** A limiter that got no call for this long takes no share: a hot reload leaves such limiters behind. */
const idleMs = 60_000

export interface InstancesOptions {
  readonly name: string
  /** The limits as text, as `limitList` writes them. */
  readonly limits: string
  /** Number of instances to assume until any was seen. */
  readonly expected: number
  /** Redis has lost data: it was emptied, or a server that lagged behind took over. */
  readonly onLoss: () => void
}

/**
 * The instances of one limiter, which announce themselves in Redis with one command every two seconds. All limiters of
 * one name in one process are one instance.
 */
export class Instances {
  readonly limits: string
  readonly #redis: Connection
  readonly #options: InstancesOptions
  readonly #keys: readonly string[]
  readonly #local: LocalLimiters
  readonly #heartbeat: Heartbeat
  #seen: Share
  #share: Share
  #history: { readonly epoch: string; readonly beats: number } | undefined
  #heldUntilMs = 0
  #pauseMs = 0
  #isStarted = false
  #beating: Promise<void> | undefined
  #usedAtMs = Number.NEGATIVE_INFINITY

  constructor(redis: Connection, options: InstancesOptions) {
    this.#redis = redis
    this.#options = options
    this.limits = options.limits
    this.#seen = { instances: options.expected }
    this.#share = this.#seen
    const keys = createKeyspace(redis.namespace, `rate-limiter:${options.name}`)
    this.#keys = ['members', 'epoch', 'ranks'].map((part) => keys.key('instances', part))
    this.#local = limitersOfProcess(`${redis.namespace}${options.name}`)
    this.#local.add(this, options.name, this.#redis.logger)
    this.#heartbeat = heartbeat({
      // Fast at first: instances that start together must know each other before an outage.
      everyMs: () => {
        this.#pauseMs = Math.min(beatMs, Math.max(firstBeatMs, this.#pauseMs * 2))
        return this.#pauseMs
      },
      beat: () => (this.#redis.state === 'up' ? this.beat() : undefined),
      onError: (error) => log('no beat: %s', error),
    })
  }

  /** The share as last seen. During an outage no instance comes or goes. The same object until something changes. */
  get share(): Share {
    const active = this.#local.active(this)
    const index = active.indexOf(this)
    const { instances, rank } = this.#seen
    // Until any instance was seen in Redis, the expected instances may be in this process.
    const count = rank === undefined ? Math.max(instances, active.length) : instances * active.length
    const own = rank === undefined ? undefined : rank * active.length + Math.max(0, index)
    if (this.#share.instances !== count || this.#share.rank !== own)
      this.#share = { instances: count, rank: own }
    return this.#share
  }

  get isActive(): boolean {
    return performance.now() - this.#usedAtMs < idleMs
  }

  /** The limiter is in use: announces this instance from now on. */
  start(): void {
    this.#usedAtMs = performance.now()
    if (this.#isStarted) return
    this.#isStarted = true
    void this.#heartbeat.now()
    this.#heartbeat.start()
  }

  /**
   * Redis is back, perhaps empty: no known instance counts as gone until all had time to announce themselves again.
   */
  returned(): void {
    if (!this.#isStarted) return
    this.#heldUntilMs = performance.now() + countsMs
    this.#pauseMs = 0
    void this.#heartbeat.now()
  }

  /** Announces this instance now. One round trip. */
  beat(): Promise<void> {
    // One at a time: replies out of order would look like a server that lost data.
    this.#beating ??= this.#beat().finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  async close(): Promise<void> {
    this.#heartbeat.close()
    const isLast = this.#local.remove(this)
    const key = this.#keys[0] ?? ''
    if (isLast && this.#isStarted && this.#redis.state === 'up')
      await this.#redis.command(['ZREM', key, this.#local.id], { key }).catch(() => {})
  }

  async #beat(): Promise<void> {
    const args = [this.#local.id, String(countsMs), randomUUID(), this.limits]
    const reply = await this.#redis.run(script, this.#keys, args)
    const [instances, rank, epoch, beats, otherLimits] = Array.isArray(reply) ? reply : []
    const seen = { instances: Number(instances), rank: Number(rank) }
    const isFewer = seen.instances < this.#seen.instances
    if (!(isFewer && performance.now() < this.#heldUntilMs)) this.#seen = seen
    if (otherLimits) {
      warnOfOtherLimits(this.#options.name, this.limits, String(otherLimits), this.#redis.logger)
    }
    const before = this.#history
    this.#history = { epoch: String(epoch), beats: Number(beats) }
    if (before === undefined) return
    if (before.epoch !== this.#history.epoch || before.beats >= this.#history.beats) {
      log('Redis lost data: what this instance charged is charged again')
      this.#options.onLoss()
    }
  }
}
