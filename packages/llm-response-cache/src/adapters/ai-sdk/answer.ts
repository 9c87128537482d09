import { isRecord } from '../../json.js'

/** A part of a stream or of a result, in the shapes of the specifications v2, v3 and v4. */
export type Part = Readonly<Record<string, unknown> & { type: string }>

/** An answer as it is stored: the parts of a stream, or a result without streaming. */
export type Answer =
  | { readonly kind: 'parts'; readonly parts: readonly Part[] }
  | { readonly kind: 'result'; readonly result: Readonly<Record<string, unknown>> }

/** Whether the model ended by itself: cut, filtered and failed answers are not stored. */
export function isWhole(answer: Answer): boolean {
  if (answer.kind === 'result') return isProper(answer.result.finishReason)
  if (answer.parts.some(({ type }) => type === 'error')) return false
  const finish = answer.parts.filter(({ type }) => type === 'finish')
  return finish.length === 1 && isProper(finish[0]?.finishReason)
}

/** A text in v2, `{ unified, raw }` since v3. */
function isProper(reason: unknown): boolean {
  const unified = isRecord(reason) ? reason.unified : reason
  return unified === 'stop' || unified === 'tool-calls'
}

/** Without what belongs to one call alone: raw chunks, headers, bodies. */
export function trimmed(answer: Answer): Answer {
  if (answer.kind === 'parts') {
    return { kind: 'parts', parts: answer.parts.filter(({ type }) => type !== 'raw' && type !== 'ping') }
  }
  const { request: _, response, ...result } = answer.result
  if (!isRecord(response)) return { kind: 'result', result }
  const { headers: __, body: ___, ...metadata } = response
  return { kind: 'result', result: { ...result, response: metadata } }
}

/** Ids of streamed pieces; the pieces of one text share one. */
const streamed = {
  text: ['text-start', 'text-delta', 'text-end'],
  reasoning: ['reasoning-start', 'reasoning-delta', 'reasoning-end'],
} as const

/** A result for a call that wants no stream. */
export function resultOf(answer: Answer): Readonly<Record<string, unknown>> {
  if (answer.kind === 'result') return answer.result
  const content: Record<string, unknown>[] = []
  const open = new Map<unknown, Record<string, unknown>>()
  const result: Record<string, unknown> = { content, warnings: [] }
  for (const part of answer.parts) {
    const { type, id, delta, ...more } = part
    switch (type) {
      case 'text-start':
      case 'reasoning-start': {
        const piece = { type: type === 'text-start' ? 'text' : 'reasoning', text: '', ...more }
        open.set(id, piece)
        content.push(piece)
        break
      }
      case 'text-delta':
      case 'reasoning-delta':
      case 'text-end':
      case 'reasoning-end': {
        const piece = open.get(id)
        if (piece === undefined) break
        piece.text = `${String(piece.text)}${typeof delta === 'string' ? delta : ''}`
        // The last value counts: signatures come with the end.
        Object.assign(piece, more)
        break
      }
      case 'tool-input-start':
      case 'tool-input-delta':
      case 'tool-input-end':
        break
      case 'stream-start':
        result.warnings = part.warnings ?? []
        break
      case 'response-metadata': {
        const { type: _, ...metadata } = part
        result.response = metadata
        break
      }
      case 'finish': {
        const { type: _, ...finish } = part
        Object.assign(result, finish)
        break
      }
      default:
        content.push(part)
    }
  }
  return result
}

/** A stream for a call that wants one. */
export function partsOf(answer: Answer): readonly Part[] {
  if (answer.kind === 'parts') return answer.parts
  const { content, warnings, response, finishReason, usage, providerMetadata } = answer.result
  const parts: Part[] = [{ type: 'stream-start', warnings: warnings ?? [] }]
  if (isRecord(response)) parts.push({ type: 'response-metadata', ...response })
  for (const [index, piece] of (Array.isArray(content) ? content : []).entries()) {
    const { type, text, ...more } = piece as Record<string, unknown>
    if (type === 'text' || type === 'reasoning') {
      const [start, delta, end] = streamed[type]
      const id = String(index)
      parts.push({ type: start, id, ...more }, { type: delta, id, delta: text }, { type: end, id, ...more })
      continue
    }
    if (type === 'tool-call') {
      const { toolCallId: id, toolName, input } = piece as Record<string, unknown>
      parts.push({ type: 'tool-input-start', id, toolName }, { type: 'tool-input-delta', id, delta: input })
      parts.push({ type: 'tool-input-end', id })
    }
    parts.push(piece as Part)
  }
  const metadata = providerMetadata === undefined ? {} : { providerMetadata }
  parts.push({ type: 'finish', finishReason, usage, ...metadata })
  return parts
}
