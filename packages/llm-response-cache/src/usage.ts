/** Tokens of an answer, as the providers' shapes tell them; 0 where they don't. */
export function tokensOf(answer: unknown): number {
  const usage = usageOf(answer)
  if (usage === undefined) return 0
  const total = count(usage.total_tokens) || count(usage.totalTokens)
  if (total > 0) return total
  const input = count(usage.input_tokens) + count(usage.prompt_tokens) + count(usage.inputTokens)
  return input + count(usage.output_tokens) + count(usage.completion_tokens) + count(usage.outputTokens)
}

/** At the top (OpenAI, Anthropic), in `response` (OpenAI's Responses stream), in `message` (Anthropic's stream). */
function usageOf(answer: unknown): Record<string, unknown> | undefined {
  if (!isObject(answer)) return undefined
  for (const holder of [answer, answer.response, answer.message]) {
    if (isObject(holder) && isObject(holder.usage)) return holder.usage
  }
  return undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0
}
