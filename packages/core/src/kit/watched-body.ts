import { type LongTimer, setLongTimeout } from './timers.js'

/** How the body of a response ended. */
export type BodyEnd =
  | { readonly kind: 'read' }
  /** The reader cancelled it, nobody holds the response any more, or it lay unread for `maxUnreadMs`. */
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
  /**
   * Milliseconds that the body may lie without anyone reading before it counts as left; it can be read all the
   * same. A reader that waits for a slow source is not meant. @default Infinity
   */
  readonly maxUnreadMs?: number | undefined
}

/**
 * The same response, with a call back when its body is over. Chunks pass one by one, as the reader asks for
 * them; nothing is kept. A response without a body ends at once.
 */
export function watchedBody(
  response: Response,
  { onEnd, onChunk, maxUnreadMs = Number.POSITIVE_INFINITY }: WatchedBodyOptions,
): Response {
  if (response.body === null) {
    onEnd({ kind: 'read' })
    return response
  }
  const reader = response.body.getReader()
  const key = {}
  let isOver = false
  let unread: LongTimer | undefined
  const end = (how: BodyEnd) => {
    unread?.clear()
    if (isOver) return
    isOver = true
    dropped.unregister(key)
    onEnd(how)
  }
  const awaitRead = () => {
    if (!isOver && Number.isFinite(maxUnreadMs))
      unread = setLongTimeout(() => end({ kind: 'left' }), maxUnreadMs)
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        unread?.clear()
        try {
          const { done, value } = await reader.read()
          if (!done) {
            onChunk?.(value)
            controller.enqueue(value)
            awaitRead()
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
  awaitRead()
  dropped.register(body, { end, reader }, key)
  const { status, statusText, headers } = response
  // What a constructed response does not have.
  return Object.defineProperties(new Response(body, { status, statusText, headers }), {
    url: { value: response.url },
    redirected: { value: response.redirected },
    type: { value: response.type },
  })
}
