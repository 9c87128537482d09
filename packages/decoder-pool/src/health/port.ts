/** What a coordinator's own probes say of a node. */
export interface OwnVerdict {
  readonly node: string
  readonly healthy: boolean
  /** For how long its probes have said so, in milliseconds; an age, because clocks differ. */
  readonly forMs: number
}

export interface Verdict extends OwnVerdict {
  /** The id of the coordinator that probed. */
  readonly by: string
  /** How long ago it was told, in milliseconds. */
  readonly toldMs: number
}

/** A coordinator that probes nodes. */
export interface ProbingCoordinator {
  readonly id: string
  readonly region: string | undefined
}

/** What a coordinator tells the others. */
export interface HealthWord {
  /** The coordinator's id. */
  readonly by: string
  readonly region?: string | undefined
  /** How long it counts as a prober without another report; `0`: it only listens. */
  readonly aliveMs: number
  /** For how long these verdicts are kept, unless they are told again. */
  readonly keepMs: number
  readonly verdicts: readonly OwnVerdict[]
}

export interface SharedVerdicts {
  /** Up to where verdicts were read; to be given with the next {@link HealthStore.share}. */
  readonly mark: number
  /** Whether these are all verdicts there are; otherwise those that were told since the mark. */
  readonly complete: boolean
  /** Who probes at the moment, the one who asks included if it does. */
  readonly probers: readonly ProbingCoordinator[]
  /** Those of other coordinators. */
  readonly verdicts: readonly Verdict[]
}

/**
 * What coordinators share of the health of nodes. Each operation is one atomic step and one round trip, and may
 * be repeated. `testHealthStore` of `@evenkeel/decoder-pool/testing` proves an implementation.
 */
export interface HealthStore {
  /**
   * Stores verdicts, each in place of the coordinator's former one about the node, and returns those that others stored
   * since the mark, or all if there is no mark.
   */
  share(word: HealthWord, mark?: number): Promise<SharedVerdicts>
  /** A coordinator stops probing; its verdicts no longer count either. */
  leave(by: string): Promise<void>
  /**
   * Takes the only permit to try a node that was ejected; `false` while another holds it. It ends by itself after
   * `ttlMs`; its holder may take it again, for as long from then on.
   */
  takeTrial(node: string, by: string, ttlMs: number): Promise<boolean>
  /** Returns the permit; has no effect if another holds it. */
  giveTrial(node: string, by: string): Promise<void>
}
