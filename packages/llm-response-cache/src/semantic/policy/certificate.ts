import { cleanTrialsFor, upperBound } from './clopper-pearson.js'

/** A look-up whose candidate was compared with a fresh answer. */
export interface Audit {
  /** How sure the model was of the candidate. */
  readonly score: number
  readonly right: boolean
}

/** Proof of how often, at most, candidates with a score at or above the threshold are wrong. */
export interface Certificate {
  readonly threshold: number
  /** Audits at or above the threshold, and how many of them were wrong. */
  readonly audits: number
  readonly errors: number
  /** The error rate is at or below this, … */
  readonly errorBound: number
  /** … with this confidence. */
  readonly confidence: number
}

export interface CertifyOptions {
  readonly maxErrorRate: number
  readonly confidence: number
}

/** Each step of a walk includes this many times as many audits as the one before. */
const stride = 1.02

/**
 * Finds the loosest threshold that the audits prove, if any. Walks from strict to loose and stops at the first
 * step that is not proved (fixed-sequence testing), so that the whole walk costs no more confidence than
 * one step. With many audits, up to four walks begin at different widths and share the allowed doubt.
 * The start and the steps of a walk depend on scores alone, never on which answers were right, and so cost no
 * confidence.
 */
export function certify(audits: readonly Audit[], options: CertifyOptions): Certificate | undefined {
  const byScore = [...audits].sort((one, other) => other.score - one.score)
  const errorsUpTo = cumulativeErrors(byScore)
  const fewest = cleanTrialsFor(options.maxErrorRate, options.confidence)
  const walks = Math.min(4, Math.max(1, Math.floor(Math.log2(byScore.length / fewest))))
  const confidence = 1 - (1 - options.confidence) / walks
  let loosest: Certificate | undefined
  for (let walk = 0; walk < walks; walk++) {
    let width = cleanTrialsFor(options.maxErrorRate, confidence) * 2 ** walk
    while (width <= byScore.length) {
      // Audits of equal scores are on the same side of a threshold.
      const threshold = byScore[width - 1]?.score ?? Number.POSITIVE_INFINITY
      while (byScore[width]?.score === threshold) width++
      const errors = errorsUpTo[width] ?? width
      const errorBound = upperBound(errors, width, confidence)
      if (errorBound > options.maxErrorRate) break
      if (loosest === undefined || width > loosest.audits) {
        loosest = { threshold, audits: width, errors, errorBound, confidence }
      }
      width = width === byScore.length ? width + 1 : Math.min(byScore.length, Math.ceil(width * stride))
    }
  }
  return loosest
}

function cumulativeErrors(audits: readonly Audit[]): readonly number[] {
  const sums = [0]
  for (const { right } of audits) sums.push((sums.at(-1) ?? 0) + (right ? 0 : 1))
  return sums
}
