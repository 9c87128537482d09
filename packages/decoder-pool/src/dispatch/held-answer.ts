/** What became of an answer's body. */
export type BodyEnd =
  | { readonly kind: 'read' | 'left' }
  | { readonly kind: 'broken'; readonly error: unknown }

interface Unread {
  readonly end: (end: BodyEnd) => void
  readonly reader: ReadableStreamDefaultReader<Uint8Array>
}

/** Whoever drops an answer unread gives its place back with the next collection of garbage. */
const dropped = new FinalizationRegistry<Unread>(({ end, reader }) => {
  reader.cancel().catch(() => {})
  end({ kind: 'left' })
})

/** The same answer; `onEnd` is called once, when its body has been read, left, or broken off. */
export function heldWhileRead(answer: Response, onEnd: (end: BodyEnd) => void): Response {
  const { body, status, statusText, headers, url } = answer
  if (body === null) {
    onEnd({ kind: 'read' })
    return answer
  }
  const reader = body.getReader()
  const key = {}
  const end = (how: BodyEnd) => {
    dropped.unregister(key)
    onEnd(how)
  }
  const watched = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (!done) return controller.enqueue(value)
        end({ kind: 'read' })
        controller.close()
      } catch (error) {
        end({ kind: 'broken', error })
        controller.error(error)
      }
    },
    async cancel(reason) {
      end({ kind: 'left' })
      await reader.cancel(reason)
    },
  })
  dropped.register(watched, { end: onEnd, reader }, key)
  const held = new Response(watched, { status, statusText, headers })
  // What a constructed answer does not have.
  return Object.defineProperty(held, 'url', { value: url })
}

/** By its shape: servers put a `Response` of their own in the global's place, of which `fetch`'s are no instances. */
export function isResponse(value: unknown): value is Response {
  if (typeof value !== 'object' || value === null) return false
  const { status, headers, arrayBuffer } = value as Partial<Response>
  return typeof status === 'number' && typeof headers === 'object' && typeof arrayBuffer === 'function'
}

/** Nobody will read it, and unread it would keep its connection and its place. */
export function drop(answer: unknown): void {
  if (isResponse(answer) && !answer.bodyUsed) answer.body?.cancel().catch(() => {})
}
