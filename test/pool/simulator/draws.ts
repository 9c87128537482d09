import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** Random numbers from a seed. */
export interface Draws {
  /** At least 0, less than 1. */
  next(): number
  /** A whole number from 0, less than `count`. */
  below(count: number): number
  exponential(mean: number): number
  /** `sigma` is the standard deviation of the logarithm. */
  logNormal(median: number, sigma: number): number
}

/**
 * One stream of random numbers for each purpose of a run: a strategy that draws more often must change neither
 * arrivals nor failures, or strategies would be compared on different traffic.
 */
export function drawsOf(seed: number, purpose: string): Draws {
  let mixed = seed | 0
  for (const letter of purpose) mixed = Math.imul(mixed ^ (letter.codePointAt(0) ?? 0), 0x9e3779b1)
  const generator = xoroshiro128plus(mixed ^ (mixed >>> 15))
  const next = () => uniformFloat64(generator)
  return {
    next,
    below: (count) => Math.floor(next() * count),
    exponential: (mean) => -mean * Math.log(1 - next()),
    // The Box–Muller transform; its second value is dropped, so that each call draws equally often.
    logNormal: (median, sigma) =>
      median * Math.exp(sigma * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())),
  }
}
