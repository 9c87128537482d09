import { isRecord } from '../../json.js'
import { canonicalHash, UnkeyableError } from '../../key/canonical.js'
import { type Question, questionOf } from '../../semantic/question.js'

export interface Model {
  readonly provider: string
  readonly modelId: string
}

export interface Call {
  readonly params: object
  readonly model: Model
}

/** Of a call, and of no answer. */
const withoutEffect = new Set(['abortSignal', 'headers', 'includeRawChunks'])

/** The text of the last message, and all else that the answer depends on. */
export function questionIn({ params, model }: Call): Question | undefined {
  const question = questionOf(countedOf(params))
  return (
    question && { text: question.text, context: ['ai-sdk', model.provider, model.modelId, question.context] }
  )
}

/** What of a call's parameters changes its answer. */
function countedOf(params: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(params).filter(([name]) => !withoutEffect.has(name)))
}

/** Nothing for a call that is not to be cached. */
export function keyOf(params: object, { provider, modelId }: Model): string | undefined {
  const { providerOptions, ...rest } = params as Record<string, unknown>
  const { evenkeel, ...others } = isRecord(providerOptions) ? providerOptions : {}
  if (isRecord(evenkeel) && evenkeel.useCache === false) return undefined
  if (runsProviderTools(rest.tools)) return undefined
  try {
    return canonicalHash('ai-sdk', provider, modelId, countedOf(rest), others)
  } catch (error) {
    if (error instanceof UnkeyableError) return undefined
    throw error
  }
}

/** Named `provider-defined` in v2, `provider` since v3. */
function runsProviderTools(tools: unknown): boolean {
  return (
    Array.isArray(tools) && tools.some((tool) => isRecord(tool) && String(tool.type).startsWith('provider'))
  )
}
