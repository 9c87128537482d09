import { type Duration, InvalidOptionError } from '@evenkeel/core'
import { BaseCache, deserializeStoredGeneration, serializeGeneration } from '@langchain/core/caches'
import type { Generation } from '@langchain/core/outputs'
import { canonicalHash } from '../key/canonical.js'
import type { ResponseCache } from '../response-cache.js'
import type { Wrapped } from '../wrap.js'

export interface LangchainOptions {
  /** @default the cache's */
  readonly ttl?: Duration | undefined
}

/**
 * The cache as a LangChain.js `BaseCache`: `new ChatOpenAI({ cache: langchainCache(cache) })`. A cache that
 * fails is a miss; a model's call never fails because of it. LangChain asks no cache for `.stream()`, and
 * does not show it bound tools: for these give the model the cached `fetch` instead
 * (`configuration: { fetch: cache.fetch() }`). A prompt with images, audio, video or files is never kept,
 * since LangChain shows a cache `[image]` in place of every one of them.
 */
export function langchainCache(
  cache: Pick<ResponseCache, 'wrap' | 'with'>,
  options: LangchainOptions = {},
): BaseCache {
  if (typeof cache?.wrap !== 'function') throw new InvalidOptionError('cache', 'a response cache', cache)
  return new LangchainCache(cache, options)
}

/** What stands in a prompt's text for content that the text does not tell apart. */
const placeholder = /\[(?:image|image_url|audio|input_audio|video|file|document|media)\]/i

/** Ends by which an answer is not the whole answer. */
const cutShort = /^(?:length|max_tokens|max_output_tokens|content_filter|safety|refusal|error|incomplete)$/i

type Stored = ReturnType<typeof serializeGeneration>

class LangchainCache extends BaseCache {
  readonly #cache: Pick<ResponseCache, 'wrap' | 'with'>
  readonly #kept: Wrapped<[key: string], readonly Stored[] | undefined>

  constructor(cache: Pick<ResponseCache, 'wrap' | 'with'>, { ttl }: LangchainOptions) {
    super()
    this.#cache = cache
    this.#kept = cache.wrap(async (_key: string) => undefined, { name: 'langchain', key: (key) => key, ttl })
  }

  override async lookup(prompt: string, llmKey: string): Promise<Generation[] | null> {
    if (placeholder.test(prompt)) return null
    try {
      // LangChain itself calls the model for a miss.
      const look = () => this.#kept(keyOf(prompt, llmKey))
      const stored = await this.#cache.with({ onlyIfCached: true }, look)
      // Made anew for each caller: LangChain writes into what it gets.
      return stored?.map(deserializeStoredGeneration).map(withText) ?? null
    } catch {
      return null
    }
  }

  override async update(prompt: string, llmKey: string, value: Generation[]): Promise<void> {
    if (placeholder.test(prompt) || value.length === 0 || value.some(isCutShort)) return
    try {
      await this.#kept.keep(value.map(serializeGeneration), keyOf(prompt, llmKey))
    } catch {
      // An answer that can't be kept is an answer all the same.
    }
  }
}

function keyOf(prompt: string, llmKey: string): string {
  return canonicalHash('langchain', prompt, llmKey)
}

function withText(generation: { text: string; message?: unknown }): Generation {
  return generation.message === undefined ? { text: generation.text } : (generation as Generation)
}

function isCutShort(generation: Generation): boolean {
  const { generationInfo, message } = generation as Generation & {
    message?: { response_metadata?: Record<string, unknown> }
  }
  const told = [generationInfo, message?.response_metadata].flatMap((info) => [
    info?.finish_reason,
    info?.finishReason,
    info?.stop_reason,
    (info?.incomplete_details as { reason?: unknown } | null | undefined)?.reason,
  ])
  return told.some((reason) => typeof reason === 'string' && cutShort.test(reason))
}
