/**
 * The upper confidence bound of an error rate, after `errors` in `trials`: with at least the given confidence, the
 * true rate is at or below it (Clopper and Pearson, Biometrika 26, 1934; one-sided). Exact for independent
 * trials, whatever the rate. 1 for no trials.
 */
export function upperBound(errors: number, trials: number, confidence: number): number {
  if (errors >= trials) return 1
  const alpha = 1 - confidence
  if (errors === 0) return 1 - alpha ** (1 / trials)
  // P(Bin(trials, p) <= errors) falls from 1 to 0 as p grows: the bound is where it is alpha.
  let [low, high] = [errors / trials, 1]
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2
    if (1 - incompleteBeta(middle, errors + 1, trials - errors) > alpha) low = middle
    else high = middle
  }
  return high
}

/** How many trials without any error prove a rate at or below `rate` with the given confidence. */
export function cleanTrialsFor(rate: number, confidence: number): number {
  return Math.ceil(Math.log(1 - confidence) / Math.log(1 - rate))
}

/**
 * The regularised incomplete beta function I_x(a, b): its continued fraction (DLMF 8.17.22), evaluated by Lentz's
 * method.
 */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0
  if (x >= 1) return 1
  // The fraction converges fast on this side; the other one is the mirror image.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a)
  const logFront = a * Math.log(x) + b * Math.log1p(-x) - logBeta(a, b)
  const tiny = 1e-300
  let numerator = 1
  let denominator = awayFromZero(1 - ((a + b) * x) / (a + 1), tiny)
  let inverse = 1 / denominator
  let fraction = inverse
  for (let m = 1; m < 1_000; m++) {
    let changed = 1
    for (const coefficient of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      denominator = awayFromZero(1 + coefficient * inverse, tiny)
      numerator = awayFromZero(1 + coefficient / numerator, tiny)
      inverse = 1 / denominator
      changed = numerator * inverse
      fraction *= changed
    }
    if (Math.abs(changed - 1) < 1e-15) break
  }
  return (Math.exp(logFront) * fraction) / a
}

function awayFromZero(value: number, tiny: number): number {
  return Math.abs(value) < tiny ? tiny : value
}

function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b)
}

/** Stirling's series (DLMF 5.11.1), after shifting the argument to 15 or more, where it is exact to the last digits. */
function logGamma(value: number): number {
  let shift = 0
  let x = value
  while (x < 15) {
    shift += Math.log(x)
    x++
  }
  const inverse = 1 / (x * x)
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1_260 - inverse / 1_680))) / x
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - shift
}
