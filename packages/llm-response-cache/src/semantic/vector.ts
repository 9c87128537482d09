import { InvalidInputError } from '@evenkeel/core'

/** Largest number of dimensions: 32 KiB a vector. */
const maxDimensions = 8_192

/** The vector with length 1. @throws InvalidInputError for one that has no direction */
export function unitVector(vector: unknown): Float32Array {
  const numbers =
    Array.isArray(vector) || ArrayBuffer.isView(vector)
      ? Float32Array.from(vector as ArrayLike<number>)
      : undefined
  const length = numbers === undefined ? 0 : Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0))
  if (numbers === undefined || numbers.length > maxDimensions || !Number.isFinite(length) || length === 0) {
    throw new InvalidInputError('embed', `vectors of 1 to ${maxDimensions} finite numbers, not all 0`, vector)
  }
  return numbers.map((value) => value / length)
}
