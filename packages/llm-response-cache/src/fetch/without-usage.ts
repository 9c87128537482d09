import { readEvent, splitEvents } from './events.js'

/** A chat stream without its usage event, for a caller that did not ask for it. */
export function withoutUsage(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const decoder = new TextDecoder()
  const encoder = new TextEncoder()
  let rest = ''
  return stream.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        const events = splitEvents(rest + decoder.decode(chunk, { stream: true }))
        rest = events.pop() ?? ''
        const kept = events.filter((event) => !tellsUsage(event)).map((event) => `${event}\n\n`)
        if (kept.length > 0) controller.enqueue(encoder.encode(kept.join('')))
      },
      flush: (controller) => {
        if (rest !== '') controller.enqueue(encoder.encode(rest))
      },
    }),
  )
}

function tellsUsage(block: string): boolean {
  const data = block.includes('"usage"') ? readEvent(block)?.data : undefined
  if (data === undefined) return false
  try {
    const chunk = JSON.parse(data) as { usage?: unknown; choices?: unknown } | null
    return Boolean(chunk?.usage) && Array.isArray(chunk?.choices) && chunk.choices.length === 0
  } catch {
    return false
  }
}
