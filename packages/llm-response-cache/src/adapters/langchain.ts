import { type Duration, InvalidOptionError } from '@evenkeel/core'
import { option } from '@evenkeel/core/kit'
import { BaseCache, deserializeStoredGeneration, serializeGeneration } from '@langchain/core/caches'
import { HumanMessage } from '@langchain/core/messages'
import type { Generation } from '@langchain/core/outputs'
import { ChatPromptValue } from '@langchain/core/prompt_values'
import { type Policy, policyOf } from '../call-options.js'
import { type Entry, textOf } from '../entry/entry.js'
import { isRecord, type Json } from '../json.js'
import { canonicalHash } from '../key/canonical.js'
import { contextOf } from '../lookup/adapter-context.js'
import { lookUp, timesOf } from '../lookup/context.js'
import type { CacheContext } from '../lookup/create-context.js'
import type { ResponseCache } from '../response-cache.js'
import type { EntryKey } from '../stores/port.js'
import { noUsage, type Usage, usageOf } from '../usage/tokens.js'

export interface LangchainOptions {
  /** @default the cache's */
  readonly ttl?: Duration | undefined
}

/**
 * Returns the cache as a LangChain.js `BaseCache`: `new ChatOpenAI({ cache: langchainCache(cache) })`. A failure of the
 * cache is a miss, so it never makes a model's call fail. LangChain does not use a cache for `.stream()`, does not show
 * it bound tools, and shows it a prompt as one text, in which an image, a file or a tool's result is a word in
 * brackets or nothing at all. So answers to prompts with a word in brackets are never stored, nor those to several
 * turns, which one message could imitate. For these give the model the cached `fetch` instead
 * (`configuration: { fetch: cache.fetch() }`).
 * @throws INVALID_OPTION with a version of LangChain that shows no trace of images (1.1.17 to 1.1.25)
 */
export function langchainCache(cache: ResponseCache, options: LangchainOptions = {}): BaseCache {
  option.members('', options, { ttl: true })
  checkTraces()
  return new LangchainCache(contextOf(cache), options)
}

/** What a prompt's text has in place of an image, a file or the like: any short word in brackets. */
const placeholder = /\[[a-z][\w /-]{0,39}\]/i

/** How LangChain begins a message in the text of a prompt. */
const messageBegin = /^(human|ai|system|tool|function|developer|user|assistant): /gim

/**
 * LangChain writes messages below each other, so a message that contains the beginning of another one looks like two,
 * and a user could write a message that looks like another user's conversation. Only a question alone, or after a
 * system message, can be read in one way.
 */
function isAmbiguous(prompt: string): boolean {
  const begins = [...prompt.matchAll(messageBegin)].map(([, role = '']) => role.toLowerCase())
  return begins.length > 1 && begins.join() !== 'system,human'
}

/** Checks that a prompt's text shows images: otherwise prompts with different images would share an answer. */
function checkTraces(): void {
  const image = { type: 'image_url', image_url: { url: 'https://example.com/a.png' } }
  const shown = new ChatPromptValue([
    new HumanMessage({ content: [{ type: 'text', text: 'x' }, image] }),
  ]).toString()
  if (placeholder.test(shown) || shown.includes('a.png')) return
  throw new InvalidOptionError(
    '@langchain/core',
    'a version that shows a cache where a prompt has images',
    shown,
  )
}

/** Finish reasons of answers that are not complete. */
const cutShort = /^(?:length|max_tokens|max_output_tokens|content_filter|safety|refusal|error|incomplete)$/i

class LangchainCache extends BaseCache {
  readonly #context: CacheContext
  readonly #policy: Policy

  constructor(context: CacheContext, { ttl }: LangchainOptions) {
    super()
    this.#context = context
    this.#policy = policyOf(context.options.policy, { ttl })
  }

  override async lookup(prompt: string, llmKey: string): Promise<Generation[] | null> {
    try {
      const policy = this.#current()
      const model = modelIn(llmKey)
      const { stats } = this.#context
      const isUnclear = placeholder.test(prompt) || isAmbiguous(prompt)
      if (isUnclear || !policy.useCache) {
        stats.bypassed(policy.useCache ? 'files' : 'asked-for', { tenant: policy.tenant, model })
        return null
      }
      const entryKey = this.#keyOf(prompt, llmKey, policy)
      const entry = policy.refresh ? undefined : await this.#entry(entryKey, policy)
      // LangChain itself calls the model for a miss.
      const stored = entry && generationsIn(entry)
      const of = { ...entryKey, model: entry?.model ?? model }
      stats.answered(stored === undefined ? 'miss' : 'hit', of, entry?.usage)
      // Each caller gets new objects, since LangChain writes into them.
      return stored?.map(deserializeStoredGeneration).map(withText) ?? null
    } catch {
      return null
    }
  }

  override async update(prompt: string, llmKey: string, value: Generation[]): Promise<void> {
    try {
      const policy = this.#current()
      if (placeholder.test(prompt) || isAmbiguous(prompt) || !policy.useCache) return
      if (value.length === 0 || value.some(isCutShort)) return
      const entryKey = this.#keyOf(prompt, llmKey, policy)
      const { tiers, stats } = this.#context
      const { versions } = await tiers.find(entryKey, policy.tags)
      const model = modelIn(llmKey)
      stats.knows(model)
      const entry: Entry = {
        ...timesOf(this.#context, policy),
        kind: 'value',
        costMs: 0,
        versions,
        model,
        usage: usageIn(value),
        status: 200,
        timing: [],
        contentType: 'application/json',
        body: JSON.stringify(value.map(serializeGeneration)),
      }
      if (!(await tiers.keep(entryKey, entry))) return
      stats.stored({ ...entryKey, model })
      tiers.tellReplaced(entryKey)
    } catch {
      // The model's call must not fail because its answer can't be stored.
    }
  }

  #current(): Policy {
    const { current } = this.#context.scope
    return current === undefined ? this.#policy : policyOf(this.#policy, current)
  }

  #keyOf(prompt: string, llmKey: string, { tenant }: Policy): EntryKey {
    const key = canonicalHash('langchain', prompt, llmKey)
    return { tenant, name: `langchain:${modelIn(llmKey)}:${this.#context.shown(tenant, key)}` }
  }

  async #entry(entryKey: EntryKey, policy: Policy): Promise<Entry | undefined> {
    return (await lookUp(this.#context, { entryKey, policy, suits: ({ kind }) => kind === 'value' })).entry
  }
}

function generationsIn(entry: Entry): Parameters<typeof deserializeStoredGeneration>[0][] | undefined {
  const read: unknown = JSON.parse(textOf(entry))
  return Array.isArray(read) ? read : undefined
}

/** LangChain names a model's parameters as `name:value` pairs with commas between them; values are JSON. */
function modelIn(llmKey: string): string {
  const found = /(?:^|[,{])"?(?:model|model_name|modelName|model_id)"?:"([^"]{1,128})"/.exec(llmKey)
  return found?.[1] ?? 'unknown'
}

function usageIn(generations: readonly Generation[]): Usage {
  let usage = noUsage
  for (const generation of generations) {
    const { message } = generation as Generation & { message?: { usage_metadata?: unknown } }
    const told = usageOf({ usage: message?.usage_metadata })
    usage = { input: usage.input + told.input, output: usage.output + told.output }
  }
  return usage
}

function withText(generation: { text: string; message?: unknown }): Generation {
  return generation.message === undefined ? { text: generation.text } : (generation as Generation)
}

function isCutShort(generation: Generation): boolean {
  const { generationInfo, message } = generation as Generation & {
    message?: { response_metadata?: Json }
  }
  const told = [generationInfo, message?.response_metadata].flatMap((info) => {
    const details = info?.incomplete_details
    return [
      info?.finish_reason,
      info?.finishReason,
      info?.stop_reason,
      isRecord(details) ? details.reason : undefined,
    ]
  })
  return told.some((reason) => typeof reason === 'string' && cutShort.test(reason))
}
