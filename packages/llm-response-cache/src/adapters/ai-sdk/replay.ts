import { isRecord } from '../../json.js'
import type { SemanticHit } from '../../semantic/lookup.js'
import type { Answer, Part } from './answer.js'
import { unpack } from './packed.js'

export type Marker =
  | { readonly cache: 'hit' | 'coalesced'; readonly ageMs: number }
  | {
      readonly cache: 'semantic'
      readonly similarity: number
      readonly confidence: number
      readonly hitId: string
    }

/** A result of the SDK, as a hit gives it and a judge sees it. */
export type Result = Readonly<Record<string, unknown>>

export function meaningOf({ similarity, confidence, hitId }: SemanticHit<unknown>): Marker {
  return { cache: 'semantic', similarity, confidence, hitId }
}

export function readAnswer(text: string | undefined): Answer | undefined {
  if (text === undefined) return undefined
  const answer = unpack(text)
  if (!isRecord(answer)) return undefined
  if (answer.kind === 'parts' && Array.isArray(answer.parts)) return { kind: 'parts', parts: answer.parts }
  return answer.kind === 'result' && isRecord(answer.result)
    ? { kind: 'result', result: answer.result }
    : undefined
}

export function marked<T extends Readonly<Record<string, unknown>>>(holder: T, marker: Marker): T {
  const metadata = isRecord(holder.providerMetadata) ? holder.providerMetadata : {}
  return { ...holder, providerMetadata: { ...metadata, evenkeel: marker } }
}

export function streamOf(parts: readonly Part[], marker: Marker): ReadableStream<Part> {
  let at = 0
  return new ReadableStream<Part>({
    pull: (controller) => {
      const part = parts[at++]
      if (part === undefined) controller.close()
      else controller.enqueue(part.type === 'finish' ? marked(part, marker) : part)
    },
  })
}

export function withMarker(stream: ReadableStream<Part>, marker: Marker): ReadableStream<Part> {
  return stream.pipeThrough(
    new TransformStream<Part, Part>({
      transform: (part, controller) =>
        controller.enqueue(part.type === 'finish' ? marked(part, marker) : part),
    }),
  )
}
