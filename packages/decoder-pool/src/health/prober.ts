import type { AddressGuard } from '../nodes/addresses.js'
import type { ResolvedProbe } from './options.js'
import { askAdapters, type ProbeResult, probeHealth } from './probe.js'

/** Maximum number of probes in flight. */
const maxConcurrent = 32
/** A node that is between two verdicts is probed again after this part of the interval. */
const confirmShare = 0.25
/** Rounds after which a node without a list of adapters is asked for one again. */
const roundsWithoutAdapters = 20

export interface ProbeTarget {
  readonly id: string
  readonly endpoint: string
  /** Path of its health check, below the endpoint. */
  readonly healthPath?: string | undefined
}

export interface ProberHost {
  /** The nodes that this coordinator probes now. */
  targets(): readonly ProbeTarget[]
  /** Factor of the interval: in an outage all coordinators probe all nodes, and so each probes less often. */
  slowness(): number
  probed(id: string, result: ProbeResult): void
  /** Checks addresses again when they are called. */
  readonly guard: AddressGuard | undefined
  /** Whether a few further probes will decide. */
  isUndecided(id: string): boolean
  adapters(id: string, adapters: readonly string[]): void
  /** All targets of a round were probed. */
  ended(): Promise<void>
}

/**
 * Probes nodes in rounds, with jitter, so that coordinators do not probe in step. A node whose probes contradict its
 * verdict is probed again soon (HAProxy's `fastinter`), so that thresholds cost little time.
 */
export class Prober {
  readonly #options: ResolvedProbe
  readonly #host: ProberHost
  readonly #random: () => number
  readonly #stop = new AbortController()
  /** Rounds until a node that had no list of adapters is asked again. */
  readonly #withoutAdapters = new Map<string, number>()
  /** Where each node's health check was found. */
  readonly #paths = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined
  #nextRoundAt = 0

  constructor(options: ResolvedProbe, host: ProberHost, random: () => number) {
    this.#options = options
    this.#host = host
    this.#random = random
  }

  start(): void {
    this.#scheduleRound(this.#random())
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#stop.abort(new Error('The pool was closed'))
  }

  /** Probes all targets once. */
  async round(): Promise<void> {
    const targets = this.#host.targets()
    await this.#ask(targets, true)
    const ids = new Set(targets.map(({ id }) => id))
    for (const id of this.#withoutAdapters.keys()) if (!ids.has(id)) this.#withoutAdapters.delete(id)
    for (const id of this.#paths.keys()) if (!ids.has(id)) this.#paths.delete(id)
  }

  /** Probes the nodes again that are between two verdicts. */
  async confirm(): Promise<void> {
    await this.#ask(this.#undecided(), false)
  }

  #undecided(): readonly ProbeTarget[] {
    return this.#host.targets().filter(({ id }) => this.#host.isUndecided(id))
  }

  #scheduleRound(share: number): void {
    const delayMs = this.#options.intervalMs * this.#host.slowness() * share
    this.#nextRoundAt = performance.now() + delayMs
    this.#schedule(delayMs, true)
  }

  #schedule(delayMs: number, isRound: boolean): void {
    if (this.#stop.signal.aborted) return
    this.#timer = setTimeout(() => void this.#next(isRound), delayMs)
    this.#timer.unref()
  }

  async #next(isRound: boolean): Promise<void> {
    if (isRound) {
      await this.round()
      this.#scheduleRound(0.9 + this.#random() * 0.2)
    } else await this.confirm()
    const untilRoundMs = this.#nextRoundAt - performance.now()
    const confirmMs = this.#options.intervalMs * confirmShare
    clearTimeout(this.#timer)
    if (confirmMs < untilRoundMs && this.#undecided().length > 0) this.#schedule(confirmMs, false)
    else this.#schedule(Math.max(0, untilRoundMs), true)
  }

  async #ask(targets: readonly ProbeTarget[], withAdapters: boolean): Promise<void> {
    const waiting = [...targets]
    const worker = async () => {
      for (let target = waiting.pop(); target !== undefined; target = waiting.pop()) {
        await this.#probe(target, withAdapters && this.#options.adapters)
      }
    }
    await Promise.all(Array.from({ length: Math.min(maxConcurrent, waiting.length) }, worker))
    if (!this.#stop.signal.aborted) await this.#host.ended()
  }

  async #probe({ id, endpoint, healthPath }: ProbeTarget, withAdapters: boolean): Promise<void> {
    const { timeoutMs } = this.#options
    const { signal } = this.#stop
    if (signal.aborted) return
    const pause = this.#withoutAdapters.get(id) ?? 0
    if (pause > 0) this.#withoutAdapters.set(id, pause - 1)
    const found = this.#paths.get(id)
    const [result, adapters] = await Promise.all([
      probeHealth({
        endpoint,
        timeoutMs,
        stop: signal,
        guard: this.#host.guard,
        healthPath: healthPath ?? found,
      }),
      withAdapters && pause === 0 ? askAdapters(endpoint, timeoutMs, signal, this.#host.guard) : undefined,
    ])
    if (signal.aborted) return
    // Another engine may not have the path that was found before, so then all paths are tried again.
    if (result.outcome === 'ok') this.#paths.set(id, result.path)
    else this.#paths.delete(id)
    this.#host.probed(id, result)
    if (adapters === 'absent') this.#withoutAdapters.set(id, roundsWithoutAdapters)
    else if (adapters !== undefined) this.#host.adapters(id, adapters)
  }
}
