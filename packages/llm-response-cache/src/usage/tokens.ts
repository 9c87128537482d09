import { isRecord } from '../json.js'

/** Tokens as counted by the provider. */
export interface Usage {
  readonly input: number
  readonly output: number
}

export const noUsage: Usage = { input: 0, output: 0 }

/** Reads the token counts of an answer in the providers' formats; zeros if there are none. */
export function usageOf(answer: unknown): Usage {
  const told = usageIn(answer)
  if (told === undefined) return noUsage
  const input = count(told.input_tokens) || count(told.prompt_tokens) || count(told.inputTokens)
  const output = count(told.output_tokens) || count(told.completion_tokens) || count(told.outputTokens)
  if (input + output > 0) return { input, output }
  return { input: count(told.total_tokens) || count(told.totalTokens), output: 0 }
}

/** A stream reports its usage in several events; the largest of each number counts. */
export function maxUsage(one: Usage, other: Usage): Usage {
  return { input: Math.max(one.input, other.input), output: Math.max(one.output, other.output) }
}

/**
 * Finds the counts at the top (OpenAI, Anthropic), in `response` (OpenAI's Responses stream), in `message` (Anthropic's
 * stream), in `usageMetadata` (Gemini), or beside the answer (Ollama).
 */
function usageIn(answer: unknown): Record<string, unknown> | undefined {
  if (!isRecord(answer)) return undefined
  for (const holder of [answer, answer.response, answer.message]) {
    if (isRecord(holder) && isRecord(holder.usage)) return holder.usage
  }
  const { usageMetadata: gemini, prompt_eval_count, eval_count } = answer
  if (isRecord(gemini)) {
    const output = count(gemini.candidatesTokenCount) + count(gemini.thoughtsTokenCount)
    return { input_tokens: gemini.promptTokenCount, output_tokens: output }
  }
  if (prompt_eval_count === undefined && eval_count === undefined) return undefined
  return { input_tokens: prompt_eval_count, output_tokens: eval_count }
}

/** The AI SDK's newer format has an object with a total in place of each number. */
function count(value: unknown): number {
  const number = isRecord(value) ? value.total : value
  return typeof number === 'number' && Number.isFinite(number) && number > 0 ? number : 0
}
