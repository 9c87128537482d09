import type { Reply } from '../clients/port.js'

/** A vector as its 32-bit numbers, little-endian: what VADD and VSIM take as `FP32`. */
export function packVector(vector: Float32Array): Buffer {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4)
  return bytes
}

export function unpackVector(bytes: Buffer): Float32Array {
  const vector = new Float32Array(bytes.length >> 2)
  for (let index = 0; index < vector.length; index++) vector[index] = bytes.readFloatLE(index * 4)
  return vector
}

/**
 * The cosine of the angle between two vectors, from -1 to 1. 0 if their dimensions differ, or if one of them has no
 * length or holds a number that is not finite.
 */
export function cosine(one: Float32Array, other: Float32Array): number {
  if (one.length !== other.length) return 0
  let [dot, length, otherLength] = [0, 0, 0]
  for (let index = 0; index < one.length; index++) {
    const [a = 0, b = 0] = [one[index], other[index]]
    dot += a * b
    length += a * a
    otherLength += b * b
  }
  const likeness = dot / Math.sqrt(length * otherLength)
  // Rounding may leave the range by an ulp, which an arc cosine or a threshold of 1 would notice.
  return Number.isFinite(likeness) ? Math.max(-1, Math.min(1, likeness)) : 0
}

/** Whether the server has vector sets (VADD, VSIM: Redis 8). One round trip. @throws what the command throws */
export async function hasVectorSets(redis: {
  command(args: readonly string[]): Promise<Reply>
}): Promise<boolean> {
  const reply = await redis.command(['COMMAND', 'INFO', 'VADD'])
  return Array.isArray(reply) && Array.isArray(reply[0])
}
