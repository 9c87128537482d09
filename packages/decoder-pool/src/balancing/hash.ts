/**
 * 32 bits of a text, evenly spread: FNV-1a (Fowler, Noll and Vo, public domain) over its UTF-16 units, and a
 * finalizer, since by itself it leaves the last letters in the low bits.
 */
export function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return mix(hash, 0)
}

/** Mixes two numbers of 32 bits into one; the finalizer of MurmurHash3 (Appleby, public domain). */
export function mix(one: number, other: number): number {
  let hash = Math.imul(one ^ other, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
