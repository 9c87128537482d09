import { UnkeyableError } from '../../errors.js'
import { isRecord, type Json } from '../../json.js'
import { canonicalHashWith } from '../../key/canonical.js'
import { PlaceCollector, records } from '../../key/places.js'
import type { BypassReason } from '../../key/request-key.js'
import { type KeyRules, searchingModels } from '../../key/rules.js'
import { type Question, questionOf } from '../../semantic/question.js'

export interface Model {
  readonly provider: string
  readonly modelId: string
}

export interface Call {
  readonly params: object
  readonly model: Model
}

/** Parameters that are not part of the key; `providerOptions` are added apart. */
const withoutEffect = new Set(['abortSignal', 'headers', 'includeRawChunks', 'providerOptions'])

/** Parameters of the SDK's calls that leave the answer a function of the request alone. */
const knownParams = new Set([
  ...['prompt', 'maxOutputTokens', 'temperature', 'topP', 'topK', 'stopSequences', 'presencePenalty', 'seed'],
  ...['frequencyPenalty', 'responseFormat', 'tools', 'toolChoice', 'reasoning', 'inputFormat', 'mode'],
  ...withoutEffect,
])

/** Options of the providers' packages that leave the answer a function of the request alone. */
const knownOptions = new Set([
  ...[
    'reasoningEffort',
    'reasoningSummary',
    'textVerbosity',
    'verbosity',
    'strictJsonSchema',
    'structuredOutputs',
  ],
  ...['parallelToolCalls', 'disableParallelToolUse', 'store', 'user', 'metadata', 'serviceTier', 'logprobs'],
  ...['topLogprobs', 'logitBias', 'instructions', 'include', 'promptCacheKey', 'promptCacheRetention'],
  ...[
    'safetyIdentifier',
    'maxCompletionTokens',
    'maxToolCalls',
    'prediction',
    'truncation',
    'systemMessageMode',
  ],
  ...[
    'forceReasoning',
    'thinking',
    'effort',
    'cacheControl',
    'sendReasoning',
    'structuredOutputMode',
    'speed',
  ],
  ...[
    'toolStreaming',
    'thinkingConfig',
    'responseModalities',
    'safetySettings',
    'threshold',
    'mediaResolution',
  ],
  ...['imageConfig', 'labels', 'audioTimestamp', 'reasoningFormat', 'safePrompt', 'documentImageLimit'],
  ...['documentPageLimit', 'reasoning', 'imageDetail', 'think', 'suffix', 'echo', 'thoughtSignature'],
  // Parts of earlier answers that the conversation contains.
  ...['reasoningEncryptedContent', 'signature', 'redactedData', 'phase'],
])

/** Options that name what a server keeps. */
const statefulOptions = ['previousResponseId', 'conversation', 'container', 'cachedContent', 'mcpServers']

/** The text of the last message, and all else that the answer depends on. */
export function questionIn({ params, model }: Call): Question | undefined {
  const question = questionOf(countedOf(params))
  const options = optionsIn(params).others
  return (
    question && {
      text: question.text,
      context: ['ai-sdk', model.provider, model.modelId, options, question.context],
    }
  )
}

/** The parameters that are part of the key. */
function countedOf(params: object): Json {
  return Object.fromEntries(Object.entries(params).filter(([name]) => !withoutEffect.has(name)))
}

/** Our own options among those of the providers, and the others. */
export function optionsIn(params: object): { readonly own: Json; readonly others: Json } {
  const options: unknown = Reflect.get(params, 'providerOptions')
  const { evenkeel, ...others } = isRecord(options) ? options : ({} as Json)
  return { own: isRecord(evenkeel) ? evenkeel : {}, others }
}

export type AiSdkKey =
  | { readonly cacheable: true; readonly key: string }
  | { readonly cacheable: false; readonly reason: BypassReason }

/** The key of a call, or the reason why it bypasses the cache. */
export function keyOf(params: object, { provider, modelId }: Model, rules: KeyRules): AiSdkKey {
  const counted = countedOf(params)
  const { others } = optionsIn(params)
  const reason = refusalOf(params, counted, { others, rules, modelId })
  if (reason !== undefined) return { cacheable: false, reason }
  try {
    const places = placesOf(counted, rules.renameIds ?? true)
    return {
      cacheable: true,
      key: canonicalHashWith(places, 'ai-sdk', rules.salt, provider, modelId, counted, others),
    }
  } catch (error) {
    if (error instanceof UnkeyableError) return { cacheable: false, reason: 'body' }
    throw error
  }
}

function refusalOf(
  params: object,
  counted: Json,
  { others, rules, modelId }: { readonly others: Json; readonly rules: KeyRules; readonly modelId: string },
): BypassReason | undefined {
  const allowed = rules.allowFields ?? []
  if (searchingModels.test(modelId) && rules.allowModels?.includes(modelId) !== true) return 'searching-model'
  // Named `provider-defined` in v2, `provider` since v3.
  if (records(counted.tools).some(({ type }) => String(type) !== 'function')) return 'side-effects'
  const unknown = Object.entries(params).some(
    ([name, value]) => value !== undefined && !knownParams.has(name) && !allowed.includes(name),
  )
  if (unknown) return 'unknown-field'
  for (const options of Object.values(others)) {
    if (!isRecord(options)) continue
    const given = Object.keys(options).filter((name) => options[name] !== undefined && options[name] !== null)
    if (given.some((name) => statefulOptions.includes(name))) return 'stateful'
    if (given.some((name) => !knownOptions.has(name) && !allowed.includes(name))) return 'unknown-field'
  }
  const contents = records(counted.prompt).flatMap(({ content }) => records(content))
  if (rules.immutableFiles !== true && contents.some(namesFile)) return 'files'
  // An item that is named only by its id is kept by the provider.
  return contents.some(isReference) ? 'stateful' : undefined
}

function namesFile({ data, image }: Json): boolean {
  return [data, image].some(
    (given) => given instanceof URL || (isRecord(given) && given.type === 'reference'),
  )
}

/** Whether a part is a reasoning without content, which OpenAI's package sends by its id. */
function isReference({ type, providerOptions, text }: Json): boolean {
  if (type !== 'reasoning' || !isRecord(providerOptions)) return false
  return Object.values(providerOptions).some(
    (own) => isRecord(own) && typeof own.itemId === 'string' && !own.reasoningEncryptedContent && text === '',
  )
}

function placesOf(counted: Json, renameIds: boolean): PlaceCollector {
  const places = new PlaceCollector()
  for (const tool of records(counted.tools)) {
    places.schema(tool.inputSchema)
    places.schema(tool.parameters)
  }
  if (isRecord(counted.responseFormat)) places.schema(counted.responseFormat.schema)
  if (!renameIds) return places
  for (const { content } of records(counted.prompt)) {
    for (const part of records(content)) {
      if (part.type === 'tool-call' || part.type === 'tool-result') places.id(part, 'toolCallId')
    }
  }
  return places
}
