/** Estimated tokens of a request. */
export interface TokenEstimate {
  readonly input: number
  readonly output: number
}

/** English has about four characters per token; other scripts have fewer. Inline images and files count as text. */
const charactersPerToken = 4

/**
 * Estimates the tokens of a call: a quarter of the characters of its body as input (0 if the body is not text), and as
 * output the maximum that it allows the model to write (`max_tokens`, `max_completion_tokens`, `max_output_tokens`).
 */
export function estimateTokens(body: unknown, defaultOutput: number): TokenEstimate {
  if (typeof body !== 'string') return { input: 0, output: defaultOutput }
  const input = Math.ceil(body.length / charactersPerToken)
  return { input, output: outputOf(body) ?? defaultOutput }
}

function outputOf(body: string): number | undefined {
  try {
    const request: unknown = JSON.parse(body)
    if (typeof request !== 'object' || request === null) return undefined
    const asked = request as Record<string, unknown>
    for (const name of ['max_completion_tokens', 'max_output_tokens', 'max_tokens']) {
      const most = asked[name]
      if (typeof most === 'number' && most >= 0) return Math.ceil(most)
    }
    // Embeddings have no output tokens.
    return 'input' in asked && isEmbedding(asked) ? 0 : undefined
  } catch {
    return undefined
  }
}

function isEmbedding({ model }: Record<string, unknown>): boolean {
  return typeof model === 'string' && model.includes('embed')
}
