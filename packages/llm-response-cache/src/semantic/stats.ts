import type { FailoverState } from '@evenkeel/core'
import type { Objection } from './features/compare.js'
import type { Certificate } from './policy/certificate.js'
import { upperBound } from './policy/clopper-pearson.js'

/** Why a question was not answered from a stored answer. */
export type MissReason =
  | 'no-neighbour'
  | 'distance'
  | Objection
  | 'learning'
  | 'unsure'
  | 'known-wrong'
  | 'refused'
  | 'audit'
  | 'shadow'
  | 'gone'
  | 'not-comparable'
  | 'failed'

export interface SemanticStats {
  /** Questions that were looked up by meaning. */
  readonly lookups: number
  readonly hits: number
  readonly hitRate: number
  /** Look-ups that were not answered, by reason. */
  readonly misses: Readonly<Partial<Record<MissReason, number>>>
  /** Look-ups that found another question in the same context, even if it was too far or refused. */
  readonly candidates: number
  /** How often `verify` was called; its refusals are among the misses. */
  readonly verified: number
  /** Hits that were audited instead of served: those of `shadow`, and the audited share. */
  readonly withheld: number
  /** Fresh answers that were compared with a stored one. */
  readonly audits: number
  readonly judgeFailures: number
  /** Wrong hits, as estimated from the audits of answers that would have been served. */
  readonly falseHits: {
    readonly audited: number
    readonly wrong: number
    /** Share of wrong hits in the audits of this process; 0 before the first. */
    readonly rate: number
    /** Upper bound of the rate with 95 % confidence; 1 before the first audit. */
    readonly rateBound: number
    /** Estimated number of this process's hits that were wrong. */
    readonly estimated: number
    /** Reported by `reportWrong`. */
    readonly reported: number
  }
  /** The certificate that allows hits; `undefined` while it is still being learned. */
  readonly certificate: Certificate | undefined
  readonly epoch: number
  readonly progress: { readonly audits: number; readonly of: number }
  /** How often this process found that errors became more frequent, and stopped serving. */
  readonly drifts: number
  readonly search: 'vector-set' | 'exact' | 'memory' | 'own' | 'unknown'
  readonly state: FailoverState
}

type Known = Pick<SemanticStats, 'certificate' | 'epoch' | 'progress' | 'drifts' | 'search' | 'state'>

/** Misses without any candidate. */
const without = ['no-neighbour', 'not-comparable', 'failed'] as const satisfies readonly MissReason[]

/** Counts of this process. */
export class SemanticCounter {
  readonly #misses = new Map<MissReason, number>()
  #lookups = 0
  #hits = 0
  #withheld = 0
  #verified = 0
  #audits = 0
  #judgeFailures = 0
  #served = { audited: 0, wrong: 0, reported: 0 }

  hit(): void {
    this.#lookups++
    this.#hits++
  }

  miss(reason: MissReason): void {
    this.#lookups++
    this.#misses.set(reason, (this.#misses.get(reason) ?? 0) + 1)
    if (reason === 'audit' || reason === 'shadow') this.#withheld++
  }

  audited(right: boolean, wouldServe: boolean): void {
    this.#audits++
    if (!wouldServe) return
    this.#served.audited++
    if (!right) this.#served.wrong++
  }

  verified(): void {
    this.#verified++
  }

  judgeFailed(): void {
    this.#judgeFailures++
  }

  reported(): void {
    this.#served.reported++
  }

  #withoutCandidate(): number {
    return without.reduce((sum, reason) => sum + (this.#misses.get(reason) ?? 0), 0)
  }

  read(known: Known): SemanticStats {
    const { audited, wrong, reported } = this.#served
    const rate = audited === 0 ? 0 : wrong / audited
    return {
      lookups: this.#lookups,
      hits: this.#hits,
      hitRate: this.#lookups === 0 ? 0 : this.#hits / this.#lookups,
      misses: Object.fromEntries(this.#misses),
      candidates: this.#lookups - this.#withoutCandidate(),
      verified: this.#verified,
      withheld: this.#withheld,
      audits: this.#audits,
      judgeFailures: this.#judgeFailures,
      falseHits: {
        audited,
        wrong,
        rate,
        rateBound: upperBound(wrong, audited, 0.95),
        estimated: rate * this.#hits,
        reported,
      },
      ...known,
    }
  }
}
