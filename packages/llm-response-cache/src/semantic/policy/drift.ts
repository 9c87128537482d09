/**
 * Watches what is served. Each audit of it bets against "the error rate is at most `maxErrorRate`" with a
 * stake that grows fastest when the rate has tripled; under that hypothesis no bet gains on average. The
 * log of the wealth, which begins anew whenever it would fall below nothing, stays under `driftLimit` for
 * 10,000 audits on average while all is well (an e-detector of CUSUM type: Shin, Ramdas and Rinaldo,
 * arXiv 2203.03532), and reaches it within a few hundred when the rate has tripled.
 */
export const driftLimit = Math.log(10_000)

/** What one audit adds to the log of the wealth. */
export function driftStep(right: boolean, maxErrorRate: number): number {
  const stake = 2 / (1 - maxErrorRate)
  return Math.log(Math.max(1e-6, 1 + stake * ((right ? 0 : 1) - maxErrorRate)))
}

/** The wealth after a step: the same sum as semantic-record.lua. */
export function driftAfter(wealth: number, step: number): number {
  return Math.max(0, wealth) + step
}
