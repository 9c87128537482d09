import type { Connection } from '@evenkeel/core'
import { createResponseCache, type ResponseCache } from '@evenkeel/llm-response-cache'
import {
  createSemanticCache,
  type Embed,
  lexicalEmbedder,
  type SemanticAnswer,
  type SemanticCache,
} from '@evenkeel/llm-response-cache/semantic'
import OpenAI from 'openai'

export interface RagOptions {
  readonly redis: Connection | undefined
  readonly documents: readonly string[]
  readonly apiKey: string
  readonly baseURL: string | undefined
  readonly chatModel: string
  /** Turns texts into vectors in this process; left out, the provider does. */
  readonly embedder?: Embed | undefined
  /** Names what makes the vectors, here or at the provider. */
  readonly embeddingModel: string
  readonly maxErrorRate: number
}

export interface Rag {
  ask(question: string): Promise<SemanticAnswer<string>>
  readonly exact: ResponseCache
  readonly semantic: SemanticCache
  close(): Promise<void>
}

/** Answers questions from documents: retrieve, put into the prompt, ask the model. Each step is cached. */
export async function createRag(options: RagOptions): Promise<Rag> {
  const { redis, documents, apiKey, baseURL, chatModel, embedder, embeddingModel, maxErrorRate } = options
  // 1. Calls of the provider, answered from the cache where they are equal: embeddings and answers alike.
  const exact = createResponseCache({ redis, ttl: '1h' })
  const openai = new OpenAI({ apiKey, baseURL: baseURL ?? null, fetch: exact.fetch() })
  const embedByProvider = async (input: readonly string[]) => {
    const { data } = await openai.embeddings.create({
      model: embeddingModel,
      input: [...input],
      encoding_format: 'float',
    })
    return data.map(({ embedding }) => embedding)
  }
  // A local model's vectors are kept by text: what one instance encoded, no other one encodes again.
  const embed: Embed =
    embedder === undefined
      ? embedByProvider
      : (texts) => exact.embeddings(texts, { model: embeddingModel, embed: embedder })

  // 2. Questions that mean the same, answered from the cache where that is proved.
  const semantic = createSemanticCache({ redis, embed, model: embeddingModel, maxErrorRate })
  const answer = semantic.wrap(
    async (question: string, passages: readonly string[]) => {
      const context = passages.map((passage) => `\n- ${passage}`).join('')
      const completion = await openai.chat.completions.create({
        model: chatModel,
        messages: [
          { role: 'system', content: `Answer from these passages alone, in one sentence.${context}` },
          { role: 'user', content: question },
        ],
      })
      return completion.choices[0]?.message.content ?? ''
    },
    // The text is compared by meaning; the model and the passages must be equal.
    { name: 'rag', question: (text, passages) => ({ text, context: { chatModel, passages } }) },
  )

  // Passages are found by meaning and by their words: an encoder alone takes one product's name for another's.
  const words = lexicalEmbedder()
  const vectorsOf = async (texts: readonly string[]) => {
    const [byMeaning, byWords] = await Promise.all([embed(texts), words(texts)])
    return byMeaning.map((vector, at) => [...unit(vector), ...unit(byWords[at] ?? [])])
  }
  const vectors = await vectorsOf(documents)
  const retrieve = async (question: string, count: number): Promise<readonly string[]> => {
    const [asked = []] = await vectorsOf([question])
    const near = vectors.map((known, at) => ({
      at,
      similarity: known.reduce((sum, v, i) => sum + v * (asked[i] ?? 0), 0),
    }))
    near.sort((one, other) => other.similarity - one.similarity)
    return near.slice(0, count).map(({ at }) => documents[at] ?? '')
  }

  return {
    exact,
    semantic,
    ask: async (question) => answer.detailed(question, await retrieve(question, 1)),
    close: async () => {
      await semantic.close()
      await exact.close()
    },
  }
}

function unit(vector: ArrayLike<number>): readonly number[] {
  const values = Array.from(vector)
  const length = Math.hypot(...values)
  return values.map((value) => value / length)
}
