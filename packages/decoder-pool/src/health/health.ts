import { randomUUID } from 'node:crypto'
import { createLog } from '@evenkeel/core/kit'
import type { Outcome, Phase } from '../dispatch/outcome.js'
import type { AddressGuard } from '../nodes/addresses.js'
import type { DecoderNode } from '../nodes/node.js'
import type { NodeState } from '../nodes/node-state.js'
import type { NodeTable } from '../nodes/node-table.js'
import type { ResolvedOptions } from '../options.js'
import { Ejector } from './ejector.js'
import { type PreservationStatus, SelfPreservation, type Sight } from './preservation.js'
import type { ProbeResult } from './probe.js'
import { Prober, type ProbeTarget } from './prober.js'
import { ProberAssignment } from './prober-assignment.js'
import { healthOf, type NodeHealth } from './status.js'
import { type ForeignVerdict, VerdictExchange } from './verdict-exchange.js'

const log = createLog('decoder-pool')

/** A node that answered a request within this may be too busy for a probe. */
const progressMs = 30_000
/** Number of intervals for which this coordinator's own probes and requests are recent. */
const freshIntervals = 3
/** The interval that is assumed for a coordinator that does not probe. */
const listenerIntervalMs = 5_000

export interface HealthHost {
  readonly members: NodeTable
  /** Whether the registry itself answers. */
  isAuthoritative(): boolean
  serviceChanged(): void
  serve(): void
  /** A node says that it has loaded other adapters than is known. */
  adaptersChanged(id: string, adapters: readonly string[]): Promise<unknown>
  remove(id: string): Promise<unknown>
  readonly guard?: AddressGuard | undefined
}

/**
 * Decides which nodes are in service, by probes, which coordinators share, and by the outcomes of requests; and which
 * nodes are removed, by their leases and probes.
 */
export class Health {
  readonly #options: ResolvedOptions
  readonly #host: HealthHost
  readonly #exchange: VerdictExchange
  readonly #ejector: Ejector
  readonly #choice: ProberAssignment
  readonly #prober: Prober | undefined
  readonly #preservation: SelfPreservation
  #timer: NodeJS.Timeout | undefined

  constructor(options: ResolvedOptions, host: HealthHost) {
    const { probe, random, leaseMs } = options
    this.#options = options
    this.#host = host
    this.#exchange = new VerdictExchange(options, randomUUID(), {
      news: () => this.#assessAll(),
      ejected: (ejected) => this.#ejector.ejectedElsewhere(ejected, this.#now()),
    })
    this.#choice = new ProberAssignment(probe?.probers ?? 2)
    this.#preservation = new SelfPreservation(leaseMs)
    this.#ejector = new Ejector(options, {
      permits: this.#exchange,
      states: () => host.members.list,
      stateOf: (id) => host.members.get(id),
      serviceChanged: () => host.serviceChanged(),
      serve: () => host.serve(),
    })
    this.#prober =
      probe &&
      new Prober(
        probe,
        {
          targets: () => this.targets(),
          slowness: () => this.#slowness(),
          probed: (id, result) => this.#probed(id, result),
          guard: host.guard,
          isUndecided: (id) => host.members.get(id)?.probes.isUndecided ?? false,
          adapters: (id, adapters) => this.#loaded(id, adapters),
          ended: () => this.#share(),
        },
        random,
      )
  }

  /** Number of ejections, by reason. */
  get ejections(): Ejector['counts'] {
    return this.#ejector.counts
  }

  async start(): Promise<void> {
    await this.#exchange.start()
    this.#prober?.start()
    if (this.#prober === undefined && this.#options.redis !== undefined) this.#listen()
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#prober?.close()
    this.#ejector.close()
    await this.#exchange.close()
  }

  /** See {@link Ejector.typicalMs}. */
  typicalMs(): number | undefined {
    return this.#ejector.typicalMs()
  }

  /** See {@link Ejector.contradicted}. */
  contradicted(id: string, now: number): void {
    this.#ejector.contradicted(id, now)
  }

  /** A request is given to a node. {@link ended} needs the result, with the request's outcome. */
  began(state: NodeState, now: number): Phase {
    return this.#ejector.began(state, now)
  }

  ended(state: NodeState, phase: Phase, outcome: Outcome, now: number, tookMs: number): void {
    this.#ejector.ended(state, phase, outcome, now, tookMs)
    // The node serves this coordinator, although others can't reach it.
    if (outcome.ok && !state.healthy && this.#assess(state, now)) this.#host.serviceChanged()
  }

  trialDue(state: NodeState, now: number): void {
    this.#ejector.trialDue(state, now)
  }

  /** What the registry showed of leases, and of itself. */
  observed(sight: Sight): void {
    const before = this.preservation()?.reason
    this.#preservation.observe(sight, this.#now())
    const reason = this.preservation()?.reason
    if (reason !== before) log('self-preservation: %s', reason ?? 'over')
  }

  preservation(): PreservationStatus | undefined {
    return this.#preservation.status(this.#now())
  }

  statusOf(state: NodeState): NodeHealth {
    return healthOf(state, this.#host.members.expiredForMs(state.node.id) !== undefined, this.#now())
  }

  /** Whether the node answered a recent probe of this coordinator. */
  answers({ probes }: NodeState): boolean {
    return probes.answers && this.#isFresh(probes.at)
  }

  /** The nodes that this coordinator probes: its share, or all while it can't hear other coordinators. */
  targets(): readonly ProbeTarget[] {
    const nodes = this.#host.members.list.map(({ node }) => node)
    return nodes.filter((node) => this.#isMine(node))
  }

  #isMine(node: DecoderNode): boolean {
    const { id, probers, isShared } = this.#exchange
    return !isShared || this.#choice.of(node, probers).includes(id)
  }

  /** If all coordinators probe all nodes, each probes less often, so that nodes do not get more probes. */
  #slowness(): number {
    const isAlone = this.#options.redis === undefined || this.#exchange.isShared
    return isAlone ? 1 : Math.max(1, this.#exchange.probers.length)
  }

  #isFresh(at: number): boolean {
    const { intervalMs = listenerIntervalMs, timeoutMs = 0 } = this.#options.probe ?? {}
    return this.#now() - at <= freshIntervals * intervalMs * this.#slowness() + timeoutMs
  }

  #probed(id: string, { outcome, reason }: ProbeResult): void {
    const state = this.#host.members.get(id)
    const { probe } = this.#options
    if (state === undefined || probe === undefined) return
    const now = this.#now()
    state.probes.note(outcome, state.isBusy(now, progressMs), now, probe)
    state.probes.reason = reason
    if (outcome === 'ok') state.workedAt = now
    if (this.#assess(state, now)) this.#changed()
    this.#considerRemoval(state, now)
  }

  #assessAll(): void {
    const now = this.#now()
    const changed = this.#host.members.list.filter((state) => this.#assess(state, now))
    if (changed.length > 0) this.#changed()
  }

  /** Returns whether the node's health changed. */
  #assess(state: NodeState, now: number): boolean {
    const { probes } = state
    const { id: me } = this.#exchange
    const others = this.#others(state)
    // A coordinator that no longer probes it knows less of it than those that do.
    const isMine = others.length === 0 || this.#isMine(state.node)
    if (probes.healthy !== undefined && isMine && this.#isFresh(probes.at)) {
      return state.judged({ healthy: probes.healthy, by: me, at: probes.at }, now, this.#options)
    }
    // If one prober reaches the node and another does not, this coordinator uses it.
    const decisive = others.find(([, { healthy }]) => healthy) ?? others[0]
    if (decisive === undefined) return false
    const [by, { healthy, toldAt }] = decisive
    const contradicts = !healthy && others.every(([, { since }]) => state.workedAt > since)
    if (contradicts && this.#isFresh(state.workedAt)) {
      return state.judged({ healthy: true, by: me, at: state.workedAt }, now, this.#options)
    }
    return state.judged({ healthy, by, at: toldAt }, now, this.#options)
  }

  /** What the node's other probers say, the newest first. */
  #others({ node }: NodeState): readonly (readonly [string, ForeignVerdict])[] {
    return this.#choice
      .of(node, this.#exchange.probers)
      .filter((by) => by !== this.#exchange.id)
      .flatMap((by) => {
        const verdict = this.#exchange.verdictOf(by, node.id)
        return verdict === undefined ? [] : [[by, verdict] as const]
      })
      .sort(([, one], [, other]) => other.toldAt - one.toldAt)
  }

  #considerRemoval(state: NodeState, now: number): void {
    const { id } = state.node
    const expiredMs = this.#host.members.expiredForMs(id)
    const { failingSince } = state.probes
    if (state.healthy || failingSince === undefined || expiredMs === undefined) return
    const silentMs = Math.min(
      this.#preservation.silentMs(now - expiredMs, now),
      this.#preservation.silentMs(failingSince, now),
    )
    if (silentMs < this.#options.removeAfterMs || !this.#host.isAuthoritative()) return
    if (!this.#isAgreed(state) || !this.#preservation.mayRemove(now)) return
    log('node %s is removed: no lease and no answer', id)
    this.#host.remove(id).catch((error) => log('node %s was not removed: %s', id, error))
  }

  /** A node that another prober reaches stays. In self-preservation, a second prober must not reach it either. */
  #isAgreed(state: NodeState): boolean {
    const others = this.#others(state)
    if (others.some(([, { healthy }]) => healthy)) return false
    const hasOthers = this.#choice.of(state.node, this.#exchange.probers).length > 1
    return !this.#preservation.isOn || !hasOthers || others.length > 0
  }

  #loaded(id: string, adapters: readonly string[]): void {
    const known = this.#host.members.get(id)?.node.adapters
    if (known === undefined || known.join('\n') === adapters.join('\n')) return
    this.#host
      .adaptersChanged(id, adapters)
      .catch((error) => log('adapters of %s were not told: %s', id, error))
  }

  async #share(): Promise<void> {
    if (this.#options.redis === undefined) return
    const now = this.#now()
    const verdicts = this.targets().flatMap(({ id }) => {
      const probes = this.#host.members.get(id)?.probes
      if (probes?.healthy === undefined || !this.#isFresh(probes.at)) return []
      return [{ node: id, healthy: probes.healthy, forMs: Math.max(0, now - probes.since) }]
    })
    await this.#exchange.share(verdicts)
  }

  /** A coordinator that does not probe still hears those that do. */
  #listen(): void {
    const again = () => void this.#exchange.share([]).finally(() => this.#listen())
    this.#timer = setTimeout(again, this.#options.pollIntervalMs)
    this.#timer.unref()
  }

  #changed(): void {
    this.#host.serviceChanged()
    this.#host.serve()
  }

  #now(): number {
    return this.#options.clock.monotonic()
  }
}
