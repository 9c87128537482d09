import { estimateTokens, parseJson } from '@evenkeel/core/kit'

/** Estimated tokens of a request. */
export interface TokenEstimate {
  readonly input: number
  readonly output: number
}

/**
 * Estimates the tokens of a call: those of its body as input (0 if the body is not text), where an inline image counts
 * 1,600 whatever its bytes, and as output the maximum that the body allows the model to write (`max_tokens`,
 * `max_completion_tokens`, `max_output_tokens`).
 */
export function estimateCall(body: unknown, defaultOutput: number): TokenEstimate {
  if (typeof body !== 'string') return { input: 0, output: defaultOutput }
  const request = parseJson(body)
  return { input: estimateTokens(request ?? body), output: outputOf(request) ?? defaultOutput }
}

function outputOf(request: unknown): number | undefined {
  if (typeof request !== 'object' || request === null) return undefined
  const asked = request as Record<string, unknown>
  for (const name of ['max_completion_tokens', 'max_output_tokens', 'max_tokens']) {
    const most = asked[name]
    if (typeof most === 'number' && most >= 0) return Math.ceil(most)
  }
  // Embeddings have no output tokens.
  return 'input' in asked && isEmbedding(asked) ? 0 : undefined
}

function isEmbedding({ model }: Record<string, unknown>): boolean {
  return typeof model === 'string' && model.includes('embed')
}
