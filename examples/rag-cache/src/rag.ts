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
  /** Turns texts into vectors in this process. @default the provider does */
  readonly embedder?: Embed | undefined
  /** The name of the model that makes the vectors, here or at the provider. */
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
  // 1. The exact cache answers calls to the provider that are equal to an earlier one, for embeddings and chat alike.
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
  // A local model's vectors are cached by text, so that no instance encodes a text that another one has encoded.
  const embed: Embed =
    embedder === undefined
      ? embedByProvider
      : (texts) => exact.embeddings(texts, { model: embeddingModel, embed: embedder })

  // 2. The semantic cache answers questions of the same meaning, once audits prove that few such answers are wrong.
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

  // Passages are found by meaning and by their words, because an encoder alone confuses the names of products.
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
