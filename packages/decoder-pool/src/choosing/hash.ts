import { createHash } from 'node:crypto'

/** 32 bits of a text, evenly spread. */
export function hash32(text: string): number {
  return createHash('sha1').update(text).digest().readUInt32LE(0)
}

/** Mixes two numbers of 32 bits into one; the finalizer of MurmurHash3 (Appleby, public domain). */
export function mix(one: number, other: number): number {
  let hash = Math.imul(one ^ other, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
