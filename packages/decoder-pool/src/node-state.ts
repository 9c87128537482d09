import type { DecoderNode } from './node.js'
import type { Registration } from './store.js'

/** Ejections grow from this to {@link maxEjectionMs}. */
const minEjectionMs = 1_000
const maxEjectionMs = 60_000

export interface Thresholds {
  readonly unhealthyAfter: number
  readonly healthyAfter: number
  readonly ejectAfter: number
}

/** What this coordinator knows of a node, beside its registration: its own requests, probes and outcomes. */
export class NodeState {
  /** This coordinator's own requests under way; exact. */
  inFlight = 0
  /** What probes say; a node is taken for healthy until one says otherwise. */
  healthy = true
  requests = 0
  #registration: Registration
  #failingSince: number | undefined
  #probeFailures = 0
  #probeSuccesses = 0
  #failures = 0
  #ejections = 0
  #ejectedUntil = 0

  constructor(registration: Registration) {
    this.#registration = registration
  }

  get node(): DecoderNode {
    return this.#registration.node
  }

  get load(): number {
    return this.inFlight / this.node.capacity
  }

  /** Whether the last probe was answered. */
  get answers(): boolean {
    return this.#probeSuccesses > 0
  }

  /** Gives whether it is another version of the node. */
  update(registration: Registration): boolean {
    const isNew = registration.revision !== this.#registration.revision
    this.#registration = registration
    return isNew
  }

  isEjected(now: number): boolean {
    return now < this.#ejectedUntil
  }

  /** For how long no probe has been answered. */
  failingForMs(now: number): number {
    return this.#failingSince === undefined ? 0 : now - this.#failingSince
  }

  probed(ok: boolean, now: number, { unhealthyAfter, healthyAfter }: Thresholds): void {
    this.#probeFailures = ok ? 0 : this.#probeFailures + 1
    this.#probeSuccesses = ok ? this.#probeSuccesses + 1 : 0
    this.#failingSince = ok ? undefined : (this.#failingSince ?? now)
    if (this.#probeFailures >= unhealthyAfter) this.healthy = false
    else if (this.#probeSuccesses >= healthyAfter) this.healthy = true
  }

  /** Silence before this moment shall not count against the node. */
  failsOnlySince(now: number): void {
    if (this.#failingSince !== undefined) this.#failingSince = now
  }

  /** Outcomes of real requests: several failures in a row take it out, for twice as long each time. */
  succeeded(): void {
    this.#failures = 0
    this.#ejections = 0
  }

  /** Gives for how many milliseconds it is ejected by this; `0` when it is not. */
  failed(now: number, { ejectAfter }: Thresholds): number {
    this.#failures++
    if (this.#failures < ejectAfter || this.isEjected(now)) return 0
    const ejectedMs = Math.min(maxEjectionMs, minEjectionMs * 2 ** this.#ejections)
    this.#ejectedUntil = now + ejectedMs
    this.#ejections++
    // After the ejection one failure suffices: the next request is its trial.
    this.#failures = ejectAfter - 1
    return ejectedMs
  }
}
