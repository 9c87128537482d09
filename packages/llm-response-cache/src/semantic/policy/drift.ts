/**
 * The log of the wealth at which served answers count as drifted. Each audit of one is a bet against "the error rate is
 * at most `maxErrorRate`", with the stake that gains fastest if the rate has tripled; under the hypothesis no bet gains
 * on average. The log, which starts again at 0 whenever it would be negative, stays under the limit for 10,000 audits
 * on average while the hypothesis holds (an e-detector of CUSUM type: Shin, Ramdas and Rinaldo, arXiv 2203.03532),
 * and reaches it within a few hundred if the rate has tripled.
 */
export const driftLimit = Math.log(10_000)

/** What one audit adds to the log of the wealth. */
export function driftStep(right: boolean, maxErrorRate: number): number {
  const stake = 2 / (1 - maxErrorRate)
  return Math.log(Math.max(1e-6, 1 + stake * ((right ? 0 : 1) - maxErrorRate)))
}

/** The log of the wealth after a step: the same sum as in semantic-record.lua. */
export function driftAfter(wealth: number, step: number): number {
  return Math.max(0, wealth) + step
}
