/** Estimated tokens of a request. */
export interface TokenEstimate {
  readonly input: number
  readonly output: number
}

/** English has about four characters per token; other scripts have fewer. Inline files count as text. */
const charactersPerToken = 4

/**
 * An inline image costs by its area and not by its bytes: at most about this many tokens with Anthropic (1,092 squared
 * pixels), and 765 to 1,105 with OpenAI in high detail.
 */
const tokensPerImage = 1_600

/** Shorter ones cost less as text than as an image. */
const shortestImage = tokensPerImage * charactersPerToken

/** The beginning of a text of JSON that is a PNG, JPEG, GIF or WebP image in Base64, with or without `data:`. */
const imageBeginning = /"(?:data:image\/[\w.+-]{1,32};base64,)?(?:iVBORw0KGgo|\/9j\/|R0lGOD|UklGR)/g

/**
 * Estimates the tokens of a call: a quarter of the characters of its body as input (0 if the body is not text), with
 * {@link tokensPerImage} for each inline image instead of its characters, and as output the maximum that the body
 * allows the model to write (`max_tokens`, `max_completion_tokens`, `max_output_tokens`).
 */
export function estimateTokens(body: unknown, defaultOutput: number): TokenEstimate {
  if (typeof body !== 'string') return { input: 0, output: defaultOutput }
  const images = imagesIn(body)
  const input =
    Math.ceil((body.length - images.characters) / charactersPerToken) + images.count * tokensPerImage
  return { input, output: outputOf(body) ?? defaultOutput }
}

function imagesIn(body: string): { readonly count: number; readonly characters: number } {
  let [count, characters] = [0, 0]
  if (body.length < shortestImage) return { count, characters }
  for (const { index } of body.matchAll(imageBeginning)) {
    const end = body.indexOf('"', index + 1)
    if (end - index < shortestImage) continue
    count++
    characters += end - index
  }
  return { count, characters }
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
