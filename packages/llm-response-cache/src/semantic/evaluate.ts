import { compareQuestionFeatures, type Objection } from './features/compare.js'
import { textDigest } from './features/digest.js'
import { questionFeaturesOf } from './features/features.js'
import type { Embed } from './judge.js'
import { choose, compared } from './policy/choose.js'
import { upperBound } from './policy/clopper-pearson.js'
import {
  type Bound,
  type EpochAudit,
  firstPolicy,
  lengthOf,
  nextPolicy,
  type Policy,
} from './policy/epochs.js'
import { unitVector } from './vector.js'

/** Two questions, and whether one answer is right for both. */
export interface LabelledPair {
  readonly a: string
  readonly b: string
  readonly same: boolean
}

export interface Rate {
  /** Questions that would have got the other question's answer. */
  readonly served: number
  /** How many of them wrongly. */
  readonly wrong: number
  /** Served questions divided by all. */
  readonly hitRate: number
  /** Served questions divided by those that could have been served rightly. */
  readonly recall: number
  readonly errorRate: number
  /** Upper bound of the error rate, with 95 % confidence (Clopper-Pearson). */
  readonly errorBound: number
}

export interface Evaluation {
  readonly pairs: number
  readonly same: number
  /** What the learned policy served from its first certificate on, and over how many pairs. */
  readonly learned: Rate & { readonly over: number }
  /** The same pairs with fixed cosine thresholds, without the guard and with it. */
  readonly fixed: readonly { readonly threshold: number; readonly plain: Rate; readonly guarded: Rate }[]
  /** Pairs that the guard refused, by reason, and how many of them were the same after all. */
  readonly refused: readonly { readonly reason: Objection; readonly pairs: number; readonly same: number }[]
  readonly epochs: readonly Policy[]
}

export interface EvaluateOptions extends Partial<Bound> {
  readonly embed: Embed
  readonly guard?: boolean | undefined
  readonly minSimilarity?: number | undefined
  readonly minOverlap?: number | undefined
  readonly thresholds?: readonly number[] | undefined
  /** Result of the cache's `verify` for the pair: a refused one is neither audited nor served by the policy. */
  readonly verify?: ((pair: PairToVerify) => boolean | Promise<boolean>) | undefined
}

/** A pair that the policy considers, with the cosine similarity of its texts. */
export interface PairToVerify extends LabelledPair {
  readonly similarity: number
}

/**
 * Plays labelled pairs through the policy, in their order, as if each question came after the other had been answered.
 * Each pair is an audit, and counts as served if what was proved before it would have served it, so that no pair is
 * evaluated with what was learned from it.
 */
export async function evaluatePairs(
  pairs: readonly LabelledPair[],
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { embed, guard = true, minSimilarity = 0.6, minOverlap = 0.3 } = options
  const { maxErrorRate = 0.02, confidence = 0.95, judgeMissRate = 0 } = options
  const bound: Bound = { maxErrorRate, confidence, judgeMissRate }
  const judged = await judge(pairs, embed, guard, minOverlap)

  const outcomes: Outcome[] = []
  const epochs: Policy[] = [firstPolicy]
  let policy = firstPolicy
  let audits: EpochAudit[] = []
  for (const pair of judged) {
    const neighbour = { id: '', similarity: pair.similarity, sheet: '', observations: [] }
    const row = compared(neighbour, pair, minSimilarity)
    const { serving } = policy
    const candidate = choose([row], policy.candidate)
    const isAccepted = candidate !== undefined && (await options.verify?.(pair)) !== false
    if (serving !== undefined) {
      const score = choose([row], serving.model)?.score ?? -1
      outcomes.push({ served: isAccepted && score >= serving.certificate.threshold, same: pair.same })
    }
    if (!isAccepted) continue
    audits.push({ score: candidate.score, features: candidate.features, right: pair.same })
    if (audits.length < lengthOf(policy.epoch, bound)) continue
    policy = nextPolicy(policy, audits, bound)
    epochs.push(policy)
    audits = []
  }

  const thresholds = options.thresholds ?? [0.8, 0.85, 0.9, 0.95, 0.98]
  return {
    pairs: pairs.length,
    same: pairs.filter(({ same }) => same).length,
    learned: { ...rateOf(outcomes), over: outcomes.length },
    fixed: thresholds.map((threshold) => ({
      threshold,
      plain: rateOf(judged.map(({ similarity, same }) => ({ same, served: similarity >= threshold }))),
      guarded: rateOf(
        judged.map(({ similarity, same, objection }) => ({
          same,
          served: objection === undefined && similarity >= threshold,
        })),
      ),
    })),
    refused: refusals(judged),
    epochs,
  }
}

interface Judged extends LabelledPair {
  readonly similarity: number
  readonly overlap: number
  readonly objection: Objection | undefined
}

interface Outcome {
  readonly served: boolean
  readonly same: boolean
}

/** Number of pairs in one call of the embedder. */
const batch = 256

async function judge(
  pairs: readonly LabelledPair[],
  embed: EvaluateOptions['embed'],
  guard: boolean,
  minOverlap: number,
): Promise<readonly Judged[]> {
  const digest = textDigest('evaluation')
  const judged: Judged[] = []
  for (let at = 0; at < pairs.length; at += batch) {
    const some = pairs.slice(at, at + batch)
    const vectors = await embed(some.flatMap(({ a, b }) => [a, b]))
    for (const [index, pair] of some.entries()) {
      const [one, other] = [vectors[index * 2], vectors[index * 2 + 1]].map((vector) => unitVector(vector))
      const comparison = compareQuestionFeatures(
        questionFeaturesOf(pair.a, digest),
        questionFeaturesOf(pair.b, digest),
        { minOverlap },
      )
      const similarity = one && other ? one.reduce((sum, value, i) => sum + value * (other[i] ?? 0), 0) : -1
      judged.push({ ...pair, similarity, ...comparison, objection: guard ? comparison.objection : undefined })
    }
  }
  return judged
}

function rateOf(outcomes: readonly Outcome[]): Rate {
  const served = outcomes.filter((outcome) => outcome.served)
  const wrong = served.filter(({ same }) => !same).length
  const same = outcomes.filter((outcome) => outcome.same).length
  return {
    served: served.length,
    wrong,
    hitRate: served.length / Math.max(1, outcomes.length),
    recall: (served.length - wrong) / Math.max(1, same),
    errorRate: wrong / Math.max(1, served.length),
    errorBound: upperBound(wrong, served.length, 0.95),
  }
}

function refusals(judged: readonly Judged[]): Evaluation['refused'] {
  const counts = new Map<Objection, { pairs: number; same: number }>()
  for (const { objection, same } of judged) {
    if (objection === undefined) continue
    const count = counts.get(objection) ?? { pairs: 0, same: 0 }
    counts.set(objection, { pairs: count.pairs + 1, same: count.same + (same ? 1 : 0) })
  }
  return [...counts].map(([reason, count]) => ({ reason, ...count }))
}
