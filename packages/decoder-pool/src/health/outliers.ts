/** Fewer nodes or calls say nothing about who is an exception. */
const minNodes = 5
const minCalls = 100
/** Calls that a node itself must have had to be compared. */
const minOwnCalls = 10
/** Standard deviations below the mean success rate at which a node fails too often (Envoy's default). */
const sigmas = 1.9
/** Minimum distance to the mean. In a pool without failures, one failure is many sigmas, but no reason to eject. */
const minGap = 0.1
const timesMedian = 3
const slowWindows = 3

export interface OutlierSwitches {
  readonly windowMs: number
  readonly successRate: boolean
  readonly latency: boolean
}

export interface Outlier {
  readonly id: string
  readonly reason: 'success-rate' | 'latency'
}

interface Counts {
  calls: number
  good: number
  latencyMs: number
}

/**
 * Compares the outcomes of nodes with each other, one window after the other. Windows end with the first outcome
 * after their time: a pool without requests has nothing to compare, and needs no timer.
 */
export class Outliers {
  readonly #switches: OutlierSwitches
  #counts = new Map<string, Counts>()
  /** Windows in a row in which a node was slow. */
  #slow = new Map<string, number>()
  #endsAt: number | undefined

  constructor(switches: OutlierSwitches) {
    this.#switches = switches
  }

  /** Counts an outcome. If the former window is over, returns the nodes that stood out in it. */
  note(id: string, ok: boolean, latencyMs: number, now: number): readonly Outlier[] {
    const found = this.#endsAt !== undefined && now >= this.#endsAt ? this.#compare() : []
    if (this.#endsAt === undefined || now >= this.#endsAt) this.#begin(now)
    const counts = this.#counts.get(id) ?? { calls: 0, good: 0, latencyMs: 0 }
    this.#counts.set(id, counts)
    counts.calls++
    if (ok) {
      counts.good++
      counts.latencyMs += latencyMs
    }
    return found
  }

  #begin(now: number): void {
    const { windowMs } = this.#switches
    // A window without requests breaks the row of slow windows before it.
    if (this.#endsAt !== undefined && now >= this.#endsAt + windowMs) this.#slow.clear()
    this.#counts = new Map()
    this.#endsAt = now + windowMs
  }

  #compare(): readonly Outlier[] {
    const compared = [...this.#counts].filter(([, { calls }]) => calls >= minOwnCalls)
    const calls = compared.reduce((sum, [, counts]) => sum + counts.calls, 0)
    if (compared.length < minNodes || calls < minCalls) {
      this.#slow.clear()
      return []
    }
    const rates = compared.map(([id, { good, calls: all }]) => [id, good / all] as const)
    const latencies = compared
      .filter(([, { good }]) => good >= minOwnCalls)
      .map(([id, { good, latencyMs }]) => [id, latencyMs / good] as const)
    const failing = this.#switches.successRate ? failingOf(rates) : []
    const slow = this.#switches.latency ? this.#slowOf(latencies) : []
    return [
      ...failing.map((id) => ({ id, reason: 'success-rate' as const })),
      ...slow.filter((id) => !failing.includes(id)).map((id) => ({ id, reason: 'latency' as const })),
    ]
  }

  #slowOf(latencies: readonly (readonly [string, number])[]): readonly string[] {
    const bound = latencies.length < minNodes ? Number.POSITIVE_INFINITY : timesMedian * medianOf(latencies)
    const slow = latencies.filter(([, latencyMs]) => latencyMs > bound).map(([id]) => id)
    this.#slow = new Map(slow.map((id) => [id, (this.#slow.get(id) ?? 0) + 1]))
    const ejected = slow.filter((id) => (this.#slow.get(id) ?? 0) >= slowWindows)
    for (const id of ejected) this.#slow.delete(id)
    return ejected
  }
}

/** The worst first. */
function failingOf(rates: readonly (readonly [string, number])[]): readonly string[] {
  const mean = rates.reduce((sum, [, rate]) => sum + rate, 0) / rates.length
  const variance = rates.reduce((sum, [, rate]) => sum + (rate - mean) ** 2, 0) / rates.length
  const bound = Math.min(mean - sigmas * Math.sqrt(variance), mean - minGap)
  return rates
    .filter(([, rate]) => rate < bound)
    .sort(([, one], [, other]) => one - other)
    .map(([id]) => id)
}

function medianOf(latencies: readonly (readonly [string, number])[]): number {
  const sorted = latencies.map(([, latencyMs]) => latencyMs).sort((one, other) => one - other)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
}
