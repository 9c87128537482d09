import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Reply } from '../../src/index.js'
import { cosine, hasVectorSets, packVector, unpackVector } from '../../src/kit/index.js'

const vectors = fc.float32Array({ noNaN: true, noDefaultInfinity: true })

describe('vectors', () => {
  it('come back from their bytes as they were', () => {
    fc.assert(
      fc.property(vectors, (vector) => {
        const bytes = packVector(vector)
        expect(bytes).toHaveLength(vector.length * 4)
        expect(unpackVector(bytes)).toEqual(vector)
      }),
    )
    // Little-endian, as VADD reads FP32.
    expect(packVector(new Float32Array([1]))).toEqual(Buffer.from([0, 0, 0x80, 0x3f]))
    expect(unpackVector(Buffer.from([0, 0, 0x80, 0x3f, 7]))).toEqual(new Float32Array([1]))
  })

  it('are alike by their direction, from -1 to 1 exactly', () => {
    fc.assert(
      fc.property(vectors, fc.float({ min: Math.fround(0.1), max: 10, noNaN: true }), (vector, factor) => {
        const scaled = vector.map((value) => Math.fround(value * factor))
        for (const other of [vector, scaled, vector.map((value) => -value)]) {
          const likeness = cosine(vector, other)
          expect(likeness).toBeGreaterThanOrEqual(-1)
          expect(likeness).toBeLessThanOrEqual(1)
        }
      }),
    )
    expect(cosine(new Float32Array([1, 2]), new Float32Array([2, 4]))).toBeCloseTo(1, 12)
    expect(cosine(new Float32Array([1, 0]), new Float32Array([0, 3]))).toBe(0)
    expect(cosine(new Float32Array([1, 0]), new Float32Array([-2, 0]))).toBe(-1)
  })

  it('have nothing in common with none, or with those of another size', () => {
    expect(cosine(new Float32Array([0, 0]), new Float32Array([1, 1]))).toBe(0)
    expect(cosine(new Float32Array([1]), new Float32Array([1, 1]))).toBe(0)
    expect(cosine(new Float32Array([]), new Float32Array([]))).toBe(0)
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY])
      expect(cosine(new Float32Array([odd, 1]), new Float32Array([1, 1]))).toBe(0)
  })

  it.each<[Reply, boolean]>([
    [[['vadd', -5]], true],
    [[null], false],
    [[], false],
    ['QUEUED', false],
  ])('are told from what COMMAND INFO says: %j', async (reply, expected) => {
    expect(await hasVectorSets({ command: async () => reply })).toBe(expected)
  })
})
