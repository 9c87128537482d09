import { createHmac } from 'node:crypto'
import { ByteBoundedLru } from '@evenkeel/core/kit'
import type { Digest } from './features.js'

/**
 * Makes keyed digests of words, 48 bits each: without the key nobody can test words against them. It remembers recent
 * ones, since the texts of an application often use the same words.
 */
export function textDigest(key: string | Buffer): Digest {
  const known = new ByteBoundedLru<string>({ maxEntries: 4_096, sizeOf: (digest) => digest.length })
  return (text) => {
    const before = known.get(text)
    if (before !== undefined) return before
    const digest = createHmac('sha256', key).update(text).digest('base64url').slice(0, 8)
    if (text.length <= 64) known.set(text, digest)
    return digest
  }
}
