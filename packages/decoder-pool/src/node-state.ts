import type { DecoderNode } from './node.js'

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
  /** When a probe last found it healthy; on the monotonic clock. */
  healthySince: number | undefined
  requests = 0
  #probeFailures = 0
  #probeSuccesses = 0
  #failures = 0
  #ejections = 0
  #ejectedUntil = 0

  constructor(public node: DecoderNode) {}

  get load(): number {
    return this.inFlight / this.node.capacity
  }

  isEjected(now: number): boolean {
    return now < this.#ejectedUntil
  }

  probed(ok: boolean, now: number, { unhealthyAfter, healthyAfter }: Thresholds): void {
    this.#probeFailures = ok ? 0 : this.#probeFailures + 1
    this.#probeSuccesses = ok ? this.#probeSuccesses + 1 : 0
    if (ok) this.healthySince = now
    if (this.#probeFailures >= unhealthyAfter) this.healthy = false
    else if (this.#probeSuccesses >= healthyAfter) this.healthy = true
  }

  /** Outcomes of real requests: several failures in a row take it out, for twice as long each time. */
  succeeded(): void {
    this.#failures = 0
    this.#ejections = 0
  }

  failed(now: number, { ejectAfter }: Thresholds): void {
    this.#failures++
    if (this.#failures < ejectAfter || this.isEjected(now)) return
    this.#ejectedUntil = now + Math.min(maxEjectionMs, minEjectionMs * 2 ** this.#ejections)
    this.#ejections++
    // After the ejection one failure suffices: the next request is its trial.
    this.#failures = ejectAfter - 1
  }
}
