/** How the body of a response ended. */
export type BodyEnd =
  | { readonly kind: 'read' }
  /** The reader cancelled it, or nobody holds the response any more. */
  | { readonly kind: 'left' }
  | { readonly kind: 'broken'; readonly error: unknown }

interface Dropped {
  readonly end: (end: BodyEnd) => void
  readonly reader: ReadableStreamDefaultReader<Uint8Array>
}

/** A response that its caller drops unread ends with the next collection of garbage. */
const dropped = new FinalizationRegistry<Dropped>(({ end, reader }) => {
  reader.cancel().catch(() => {})
  end({ kind: 'left' })
})

export interface WatchedBodyOptions {
  /** Called once, in every case: read to its end, cancelled, broken off, or dropped unread and collected. */
  onEnd(end: BodyEnd): void
  /** Each chunk as it passes. */
  onChunk?(chunk: Uint8Array): void
}

/**
 * The same response, with a call back when its body is over. Chunks pass one by one, as the reader asks for
 * them; nothing is kept. A response without a body ends at once.
 */
export function watchedBody(response: Response, { onEnd, onChunk }: WatchedBodyOptions): Response {
  if (response.body === null) {
    onEnd({ kind: 'read' })
    return response
  }
  const reader = response.body.getReader()
  const key = {}
  let isOver = false
  const end = (how: BodyEnd) => {
    if (isOver) return
    isOver = true
    dropped.unregister(key)
    onEnd(how)
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (!done) {
            onChunk?.(value)
            controller.enqueue(value)
            return
          }
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
    },
    // Read ahead by nothing: the end is told when the reader has come to it.
    { highWaterMark: 0 },
  )
  dropped.register(body, { end: onEnd, reader }, key)
  const { status, statusText, headers } = response
  // What a constructed response does not have.
  return Object.defineProperties(new Response(body, { status, statusText, headers }), {
    url: { value: response.url },
    redirected: { value: response.redirected },
    type: { value: response.type },
  })
}
