import { defaultLexicon, stemOf } from './features/lexicon.js'

/**
 * An embedder without a model and without a network: it hashes words and parts of words into a fixed number of
 * dimensions. It compares letters, not meaning, so it only finds rewordings that share words. For tests and
 * demonstrations. Deterministic.
 */
export function lexicalEmbedder(dimensions = 256): (texts: readonly string[]) => Promise<number[][]> {
  return async (texts) => texts.map((text) => embed(text, dimensions))
}

function embed(text: string, dimensions: number): number[] {
  const vector = Array.from({ length: dimensions }, () => 0)
  const add = (feature: string, weight: number) => {
    // Each feature has several places, so that two features that collide in one still differ in the others.
    for (let at = 0; at < 4; at++) {
      const hash = hashOf(feature, at)
      const place = (hash >>> 1) % dimensions
      vector[place] = (vector[place] ?? 0) + (hash % 2 === 0 ? weight : -weight)
    }
  }
  for (const [word] of text
    .normalize('NFKC')
    .toLowerCase()
    .matchAll(/[\p{L}\p{N}]+/gu)) {
    const weight = defaultLexicon.stopWords.has(word) ? 0.25 : 1
    add(`word ${stemOf(word)}`, weight)
    const padded = `^${word}$`
    for (let at = 0; at + 3 <= padded.length; at++) add(`piece ${padded.slice(at, at + 3)}`, weight * 0.3)
  }
  // A text without a word still gets a direction.
  if (!vector.some((value) => value !== 0)) vector[0] = 1
  return vector
}

/** FNV-1a (Fowler, Noll, Vo) over UTF-16 units, with a last mixing of its bits. */
function hashOf(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ Math.imul(seed + 1, 0x9e3779b1)
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return (hash ^ (hash >>> 13)) >>> 0
}
