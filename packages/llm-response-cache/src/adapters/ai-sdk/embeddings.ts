import type { Duration } from '@evenkeel/core'
import { option, untilAborted } from '@evenkeel/core/kit'
import { type CallOptions, checkCallOptions, policyOf } from '../../call-options.js'
import { isRecord, type Json } from '../../json.js'
import { canonicalHash } from '../../key/canonical.js'
import { contextOf } from '../../lookup/adapter-context.js'
import type { ResponseCache } from '../../response-cache.js'
import { type Model, optionsIn } from './key.js'

export interface AiSdkEmbeddingOptions {
  /** @default the cache's, as for `embeddings()` */
  readonly ttl?: Duration | undefined
}

/** What the middleware needs of an embedding model; those of the specifications v3 and v4 fit. */
export interface AiSdkEmbeddingModel<R> extends Model {
  doEmbed(params: never): PromiseLike<R>
}

export interface AiSdkEmbeddingMiddleware {
  readonly specificationVersion: 'v3'
  wrapEmbed<R extends object>(call: {
    readonly doEmbed: () => PromiseLike<R>
    readonly params: object
    readonly model: AiSdkEmbeddingModel<R>
  }): Promise<R>
}

/** A longer name of a model is cut, and gets a hash that keeps it unique. */
const maxNameLength = 160

/** Parameters of the SDK's calls. */
const knownParams = new Set(['values', 'abortSignal', 'providerOptions', 'headers'])

/** Options of the providers' packages that apply to each text alike; others may be about one of the texts. */
const knownOptions = new Set([
  ...[
    'dimensions',
    'user',
    'outputDimensionality',
    'outputDimension',
    'outputDtype',
    'taskType',
    'inputType',
  ],
  ...['truncate', 'truncation', 'autoTruncate', 'normalize', 'embeddingPurpose', 'encodingFormat'],
])

/**
 * Creates an embedding model middleware for the Vercel AI SDK (6, 7). Each text is one entry: `embed` and `embedMany`
 * ask the provider only for texts that are not stored, and for equal texts once. Vectors have 32-bit numbers, from the
 * first call on. `usage` is that of the provider's calls, and `providerMetadata.evenkeel` has the number of texts,
 * `{ cached: 2, asked: 1 }`. A caller that leaves does not end the provider's call, which others may have joined: its
 * answer is stored. Calls with options that may not apply to each text alike bypass the cache.
 * @example
 * const model = wrapEmbeddingModel({
 *   model: openai.embeddingModel('text-embedding-3-small'),
 *   middleware: aiSdkEmbeddingMiddleware(cache),
 * })
 */
export function aiSdkEmbeddingMiddleware(
  cache: ResponseCache,
  options: AiSdkEmbeddingOptions = {},
): AiSdkEmbeddingMiddleware {
  option.members('', options, { ttl: true })
  if (options.ttl !== undefined) option.duration('ttl', options.ttl)
  const { stats, scope, options: own } = contextOf(cache)
  return {
    specificationVersion: 'v3',
    wrapEmbed: async ({ doEmbed, params, model }) => {
      const { own: said, others } = optionsIn(params)
      const asked: CallOptions = { ...options, ...checkCallOptions(said as CallOptions) }
      const { useCache, tenant } = policyOf(own.policy, { ...scope.current, ...asked })
      const values = valuesIn(params, others)
      if (values === undefined || !useCache) {
        const reason = values === undefined ? 'unknown-field' : 'asked-for'
        stats.bypassed(reason, { tenant, model: model.modelId })
        return doEmbed()
      }
      return embedded(cache, { values, params, model, others, asked })
    },
  }
}

interface EmbedCall<R> {
  readonly values: readonly string[]
  readonly params: object
  readonly model: AiSdkEmbeddingModel<R>
  readonly others: Json
  readonly asked: CallOptions
}

async function embedded<R extends object>(
  cache: ResponseCache,
  { values, params, model, others, asked }: EmbedCall<R>,
): Promise<R> {
  const results: Json[] = []
  let count = 0
  const { onlyIfCached: _, ...kept } = asked
  const vectors = cache.embeddings(values, {
    ...kept,
    model: nameOf(model, others),
    embed: async (texts) => {
      count += texts.length
      // Without the signal: others may wait for this call by the time that its first caller leaves.
      const { abortSignal: __, ...rest } = params as Json
      const result = (await model.doEmbed({ ...rest, values: [...texts] } as never)) as unknown as Json
      results.push(result)
      return result.embeddings as readonly number[][]
    },
  })
  const signal: unknown = Reflect.get(params, 'abortSignal')
  const given = await (signal instanceof AbortSignal ? untilAborted(vectors, signal) : vectors)
  const metadata = { cached: values.length - count, asked: count }
  return joined(given, results, metadata) as unknown as R
}

/** Joins the results of all calls of the provider; if there was only one, with its `response`. */
function joined(vectors: readonly Float32Array[], results: readonly Json[], evenkeel: object): Json {
  const tokens = results.map(({ usage }) => (isRecord(usage) ? Number(usage.tokens) : Number.NaN))
  const sum = tokens.reduce((all, one) => all + one, 0)
  const [first] = results
  const said = isRecord(first?.providerMetadata) ? first.providerMetadata : {}
  return {
    embeddings: vectors.map((vector) => Array.from(vector)),
    ...(Number.isFinite(sum) && { usage: { tokens: sum } }),
    providerMetadata: { ...said, evenkeel },
    ...(results.length === 1 && first?.response !== undefined && { response: first.response }),
    warnings: results.flatMap(({ warnings }) => (Array.isArray(warnings) ? warnings : [])),
  }
}

/** The texts, if they can be embedded one by one; `undefined` if a parameter or an option may not allow it. */
function valuesIn(params: object, others: Json): readonly string[] | undefined {
  const isKnown = Object.entries(params).every(
    ([name, value]) => value === undefined || knownParams.has(name),
  )
  const values: unknown = Reflect.get(params, 'values')
  if (!isKnown || !Array.isArray(values) || !values.every((value) => typeof value === 'string')) {
    return undefined
  }
  const areAlike = Object.values(others).every(
    (options) => isRecord(options) && Object.entries(options).every(isAlike),
  )
  return areAlike ? values : undefined
}

function isAlike([name, value]: [string, unknown]): boolean {
  return knownOptions.has(name) && (typeof value !== 'object' || value === null)
}

/** The model's name, as metrics show it; other options make another name, since they change the vectors. */
function nameOf({ provider, modelId }: Model, others: Json): string {
  const name = `ai-sdk:${provider}:${modelId}`
  const isShort = name.length <= maxNameLength
  const options = Object.keys(others).length > 0 || !isShort ? `#${canonicalHash(name, others)}` : ''
  return name.slice(0, maxNameLength) + options
}
