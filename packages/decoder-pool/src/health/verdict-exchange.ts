import { type Failover, failover } from '@evenkeel/core'
import { createLog, parseJson, SharedView } from '@evenkeel/core/kit'
import type { ResolvedOptions } from '../options.js'
import type { EjectedElsewhere } from './ejector.js'
import { MemoryHealthStore } from './memory.js'
import type { HealthStore, OwnVerdict, ProbingCoordinator } from './port.js'
import { RedisHealthStore } from './redis.js'

const log = createLog('decoder-pool')

/** Rounds of probes without a report after which a coordinator no longer counts as a prober. */
const roundsAlive = 3
/** A verdict is sent again after this part of the time for which it is kept. */
const againShare = 1 / 3

const ejectionReasons = ['failures', 'success-rate', 'latency', 'refusals'] as const
/** Begins a message that tells of an ejection; every other one is the id of a coordinator that has news. */
const ejectedMark = 'ejected '

/** Another coordinator's verdict about a node. Times are those of this process's monotonic clock. */
export interface ForeignVerdict {
  readonly healthy: boolean
  /** When what it saw began. */
  readonly since: number
  readonly toldAt: number
}

export interface VerdictEvents {
  /** Others' verdicts were heard. */
  news(): void
  ejected(ejected: EjectedElsewhere): void
}

/**
 * Exchanges verdicts with the other coordinators: one round trip for each round of probes, whatever the number of
 * nodes, and a message when a verdict changes. While Redis is away, each coordinator is alone.
 */
export class VerdictExchange {
  /** This coordinator's id. */
  readonly id: string
  readonly keepMs: number
  readonly #options: ResolvedOptions
  readonly #stores: Failover<HealthStore>
  readonly #channel: string
  readonly #events: VerdictEvents
  /** By node, then by coordinator. */
  readonly #foreign = new Map<string, Map<string, ForeignVerdict>>()
  readonly #told = new Map<string, { readonly healthy: boolean; readonly at: number }>()
  /** Nodes whose permits were given back while Redis was away. */
  readonly #owedTrials = new Set<string>()
  #probers: readonly ProbingCoordinator[]
  #mark: number | undefined
  readonly #view: SharedView
  #closed = false

  constructor(options: ResolvedOptions, id: string, events: VerdictEvents) {
    const { redis, name, clock, probe, region } = options
    this.#options = options
    this.id = id
    this.#probers = probe === undefined ? [] : [{ id, region }]
    this.#events = events
    this.#channel = `decoder-pool:${name}:health`
    this.keepMs = Math.max(60_000, 6 * (probe?.intervalMs ?? 0))
    this.#stores = failover<HealthStore>(redis, {
      name: 'decoder-pool-health',
      durability: 'transient',
      primary: redis && new RedisHealthStore(redis, name, { now: options.registryTime }),
      fallback: new MemoryHealthStore({ clock }),
      recover: ({ primary }) => this.#giveOwedTrials(primary),
    })
    // No poll is needed, because each round of probes also reads the verdicts.
    this.#view = new SharedView({
      redis,
      channel: this.#channel,
      concerns: (message) => !this.#isOfEjection(message) && message !== id,
      read: () => this.#exchange([]),
      onError: (error) => log('verdicts were not read: %s', error),
    })
  }

  /** Whether others can be heard; otherwise each coordinator probes for itself. */
  get isShared(): boolean {
    return this.#stores.state === 'primary'
  }

  async start(): Promise<void> {
    await this.#view.start()
    // Learns before the first probe which other coordinators probe, and what they know.
    await this.share([])
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.isShared && this.#options.probe !== undefined) {
      await this.#stores.run((store) => store.leave(this.id)).catch((error) => log('not told: %s', error))
    }
    this.#stores.close()
    await this.#view.close()
  }

  /** The coordinators that probe, as last heard; this one included, if it does. */
  get probers(): readonly ProbingCoordinator[] {
    return this.#probers
  }

  /** Another coordinator's verdict about a node, while it is kept. */
  verdictOf(by: string, node: string): ForeignVerdict | undefined {
    const verdict = this.#foreign.get(node)?.get(by)
    return verdict && this.#options.clock.monotonic() - verdict.toldAt <= this.keepMs ? verdict : undefined
  }

  /** Sends the verdicts that others do not know yet or will soon forget, and takes theirs. */
  async share(verdicts: readonly OwnVerdict[]): Promise<void> {
    const now = this.#options.clock.monotonic()
    const untold = verdicts.filter(({ node, healthy }) => {
      const told = this.#told.get(node)
      return told?.healthy !== healthy || now - told.at >= this.keepMs * againShare
    })
    try {
      await this.#exchange(untold)
    } catch (error) {
      log('verdicts were not shared: %s', error)
    }
    const nodes = new Set(verdicts.map(({ node }) => node))
    for (const node of this.#told.keys()) if (!nodes.has(node)) this.#told.delete(node)
  }

  async takeTrial(node: string, ttlMs: number): Promise<boolean> {
    const { value, source } = await this.#stores.run((store) => store.takeTrial(node, this.id, ttlMs))
    if (source === 'redis') this.#owedTrials.delete(node)
    return value
  }

  async giveTrial(node: string): Promise<void> {
    const { source } = await this.#stores.run((store) => store.giveTrial(node, this.id))
    // Redis may still hold the permit: without it no other coordinator tries the node.
    if (source === 'memory' && this.#options.redis !== undefined) this.#owedTrials.add(node)
  }

  async #giveOwedTrials(primary: HealthStore): Promise<void> {
    for (const node of this.#owedTrials) {
      await primary.giveTrial(node, this.id)
      this.#owedTrials.delete(node)
    }
  }

  /** Sent only as a message: a coordinator that misses it finds out about the node by itself. */
  tellEjected(ejected: EjectedElsewhere): void {
    const { redis } = this.#options
    if (redis === undefined || !this.isShared) return
    const message = ejectedMark + JSON.stringify({ ...ejected, by: this.id })
    redis.publish(this.#channel, message).catch((error) => log('an ejection was not told: %s', error))
  }

  /** Handles a message about another's ejection. Returns whether the message is one. */
  #isOfEjection(message: string): boolean {
    if (!message.startsWith(ejectedMark)) return false
    const ejected = ejectedIn(message.slice(ejectedMark.length))
    if (ejected !== undefined && ejected.by !== this.id && !this.#closed) this.#events.ejected(ejected)
    return true
  }

  async #exchange(untold: readonly OwnVerdict[]): Promise<void> {
    const { clock, redis } = this.#options
    const { value, source } = await this.#stores.run((store) => store.share(this.#word(untold), this.#mark))
    // What was reported to memory did not reach the others.
    if (source === 'memory') return this.#told.clear()
    this.#probers = value.probers
    const now = clock.monotonic()
    const isNews = untold.some(({ node, healthy }) => (this.#told.get(node)?.healthy ?? true) !== healthy)
    for (const { node, healthy } of untold) this.#told.set(node, { healthy, at: now })
    if (value.complete) {
      this.#foreign.clear()
      // If the data was lost, this coordinator's verdicts were too; the next round sends them again.
      if (this.#mark !== undefined) this.#told.clear()
    }
    this.#mark = value.mark
    for (const { by, node, healthy, forMs, toldMs } of value.verdicts) {
      const known = this.#foreign.get(node) ?? new Map<string, ForeignVerdict>()
      known.set(by, { healthy, since: now - forMs, toldAt: now - toldMs })
      this.#foreign.set(node, known)
    }
    this.#forget(now)
    if (this.#closed) return
    this.#events.news()
    if (isNews) {
      await redis?.publish(this.#channel, this.id).catch((error) => log('not published: %s', error))
    }
  }

  #word(verdicts: readonly OwnVerdict[]) {
    const { region, probe } = this.#options
    const aliveMs = this.#closed || probe === undefined ? 0 : roundsAlive * probe.intervalMs + probe.timeoutMs
    return { by: this.id, region, aliveMs, keepMs: this.keepMs, verdicts }
  }

  #forget(now: number): void {
    for (const [node, known] of this.#foreign) {
      for (const [by, { toldAt }] of known) if (now - toldAt > this.keepMs) known.delete(by)
      if (known.size === 0) this.#foreign.delete(node)
    }
  }
}

function ejectedIn(text: string): (EjectedElsewhere & { readonly by: string }) | undefined {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null) return undefined
  const { by, node, reason: said, forMs } = value as Record<string, unknown>
  const reason = ejectionReasons.find((one) => one === said)
  if (typeof by !== 'string' || typeof node !== 'string' || reason === undefined) return undefined
  if (typeof forMs !== 'number' || !(forMs > 0)) return undefined
  return { by, node, reason, forMs }
}
