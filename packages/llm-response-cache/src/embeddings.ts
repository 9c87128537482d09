import { InvalidInputError } from '@evenkeel/core'
import { input } from '@evenkeel/core/kit'
import { type CallOptions, callingOptionNames, type Policy, policyOf } from './call-options.js'
import type { Entry } from './entry/entry.js'
import { canonicalHash } from './key/canonical.js'
import { Batch } from './lookup/batch.js'
import type { Call, Found } from './lookup/call.js'
import { isPast, timesOf } from './lookup/context.js'
import type { CacheContext } from './lookup/create-context.js'
import { Lookup } from './lookup/lookup.js'
import { isProviderOutage } from './lookup/outage.js'
import type { EntryKey } from './stores/port.js'
import { noUsage } from './usage/tokens.js'

export interface EmbeddingsOptions extends Omit<CallOptions, 'onlyIfCached'> {
  /** Names the model and everything else that changes its vectors: dimensions, input type, version. */
  readonly model: string
  /** Calls the provider; returns a vector for each text, in their order. */
  readonly embed: (texts: readonly string[]) => Promise<readonly ArrayLike<number>[]>
  /** Maximum number of texts in a call of `embed`; more take several calls in sequence. @default 2_048 */
  readonly maxBatch?: number | undefined
}

const names: Readonly<Record<keyof EmbeddingsOptions, true>> = {
  ...callingOptionNames,
  model: true,
  embed: true,
  maxBatch: true,
}

const contentType = 'application/x-float32'

interface LiveVector {
  readonly vector: Float32Array
  readonly entry: Entry
}

/** Vectors of texts, one entry for each text: only the unknown texts of a batch are sent to the provider. */
export class Embeddings {
  readonly #context: CacheContext
  readonly #policy: Policy
  readonly #lookup: Lookup<LiveVector>

  constructor(context: CacheContext, ttlMs: number) {
    this.#context = context
    this.#policy = { ...context.options.policy, ttlMs }
    this.#lookup = new Lookup(context)
  }

  async get(texts: readonly string[], options: EmbeddingsOptions): Promise<Float32Array[]> {
    check(texts, options)
    const { spans } = this.#context
    if (spans === undefined) return this.#get(texts, options)
    const attributes = {
      'gen_ai.request.model': options.model,
      'evenkeel.response_cache.texts': texts.length,
    }
    return spans.around('response_cache embeddings', { attributes }, () => this.#get(texts, options))
  }

  async #get(texts: readonly string[], options: EmbeddingsOptions): Promise<Float32Array[]> {
    const { model, maxBatch = 2_048 } = options
    const policy = policyOf(this.#policy, { ...this.#context.scope.current, ...options })
    const { tenant } = policy
    const nameOf = (text: string) =>
      `embedding:${model}:${this.#context.shown(tenant, canonicalHash(model, text))}`
    const unique = [...new Set(texts)]
    const batch = new Batch<string, Float32Array>({
      expected: unique.length,
      maxBatch,
      load: (some) => this.#ask(some, options, tenant),
    })
    const found = await Promise.all(
      unique.map(async (text) => {
        const entryKey = { tenant, name: nameOf(text) }
        const vector = policy.useCache
          ? await this.#vectorOf(text, entryKey, { policy, model, batch })
          : await this.#bypass(text, entryKey, model, batch)
        return [text, vector] as const
      }),
    )
    const vectors = new Map(found)
    // Each caller gets copies of the vectors, since callers may write into them.
    return texts.map((text) => Float32Array.from(vectors.get(text) ?? []))
  }

  async #bypass(text: string, { tenant, name }: EntryKey, model: string, batch: Batch<string, Float32Array>) {
    const vector = await batch.load(text, new AbortController().signal, batch.arrival())
    this.#context.stats.bypassed('asked-for', { tenant, model, name })
    return vector
  }

  async #vectorOf(
    text: string,
    entryKey: EntryKey,
    {
      policy,
      model,
      batch,
    }: { readonly policy: Policy; readonly model: string; readonly batch: Batch<string, Float32Array> },
  ): Promise<Float32Array> {
    const arrived = batch.arrival()
    const call: Call<LiveVector> = {
      entryKey,
      policy,
      model,
      isOutage: isProviderOutage,
      isPartOfBatch: true,
      onWaits: arrived,
      suits: ({ kind }) => kind === 'bytes',
      joins: () => true,
      produce: async ({ signal, versions }) => {
        const vector = await batch.load(text, signal, arrived)
        const body = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
        const entry: Entry = {
          ...timesOf(this.#context, policy),
          kind: 'bytes',
          costMs: 0,
          versions,
          model,
          usage: noUsage,
          status: 200,
          contentType,
          timing: [],
          body,
        }
        return { live: { vector, entry }, ended: Promise.resolve(entry) }
      },
    }
    const found = await this.#lookup.find(call).finally(arrived)
    return this.#taken(found, entryKey, model)
  }

  #taken(found: Found<LiveVector>, { tenant, name }: EntryKey, model: string): Float32Array {
    if (found.kind === 'nothing') throw new TypeError('A look-up of a vector came to nothing')
    const { stats } = this.#context
    if (found.kind === 'live') {
      stats.answered(found.outcome, { tenant, model, name })
      return found.live.vector
    }
    const outcome = found.outcome === 'hit' && isPast(this.#context, found.entry) ? 'stale' : found.outcome
    stats.answered(outcome, { tenant, model, name }, found.entry.usage)
    return vectorOf(found.entry)
  }

  async #ask(
    texts: readonly string[],
    { embed, model }: EmbeddingsOptions,
    tenant: string,
  ): Promise<Float32Array[]> {
    const { stats, metrics } = this.#context
    const began = performance.now()
    try {
      const vectors = [...(await embed(texts))].map((vector) => Float32Array.from(vector))
      if (vectors.length !== texts.length || vectors.some((vector) => !isUsable(vector))) {
        throw new TypeError(`embed gave ${vectors.length} usable vectors for ${texts.length} texts`)
      }
      stats.knows(model)
      return vectors
    } catch (error) {
      stats.failed({ tenant, model })
      throw error
    } finally {
      metrics.called(performance.now() - began, model)
    }
  }
}

function check(texts: unknown, options: EmbeddingsOptions): void {
  const { model, embed, maxBatch } = options
  if (!Array.isArray(texts) || !texts.every((text) => typeof text === 'string')) {
    throw new InvalidInputError('texts', 'a list of texts', texts)
  }
  input.members('', options, names)
  input.text('model', model, { max: 256 })
  input.fn('embed', embed)
  if (maxBatch !== undefined) input.integer('maxBatch', maxBatch)
}

/** An empty or zero vector, or one with a hole, is a failed answer of the provider. */
function isUsable(vector: Float32Array): boolean {
  return vector.length > 0 && vector.every(Number.isFinite) && vector.some((value) => value !== 0)
}

function vectorOf({ body }: Entry): Float32Array {
  const bytes = Buffer.from(body)
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))
}
