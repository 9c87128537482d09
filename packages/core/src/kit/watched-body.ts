import { type LongTimer, setLongTimeout } from './timers.js'

/** How the body of a response ended. */
export type BodyEnd =
  | { readonly kind: 'read' }
  /** The reader cancelled it, the response was garbage-collected, or it was unread for `maxUnreadMs`. */
  | { readonly kind: 'left' }
  | { readonly kind: 'broken'; readonly error: unknown }

interface Dropped {
  readonly end: (end: BodyEnd) => void
  readonly reader: ReadableStreamDefaultReader<Uint8Array>
}

/** A response that its caller drops unread ends when it is garbage-collected. */
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
   * Milliseconds without a read after which the body counts as left, although it can still be read. A reader that
   * waits for a slow source counts as reading. @default Infinity
   */
  readonly maxUnreadMs?: number | undefined
}

/**
 * The same response, with a callback when its body ends. Chunks pass one by one, as the reader asks for them;
 * none is kept. A response without a body, or whose body is locked by another reader, ends at once.
 */
export function watchedBody(
  response: Response,
  { onEnd, onChunk, maxUnreadMs = Number.POSITIVE_INFINITY }: WatchedBodyOptions,
): Response {
  if (response.body === null || response.body.locked || !mayHaveBody(response.status)) {
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
          // If `onChunk` threw, the source is not read any further.
          reader.cancel(error).catch(() => {})
        }
      },
      async cancel(reason) {
        end({ kind: 'left' })
        await reader.cancel(reason)
      },
    },
    // Reads nothing ahead, so that the end is reported when the reader reaches it.
    { highWaterMark: 0 },
  )
  awaitRead()
  dropped.register(body, { end, reader }, key)
  const { status, statusText, headers } = response
  return withOriginOf(response, new Response(body, { status, statusText, headers }))
}

/** Whether a `Response` with this status and a body can be constructed; servers create others by other means. */
function mayHaveBody(status: number): boolean {
  return status >= 200 && status <= 599 && status !== 204 && status !== 205 && status !== 304
}

/** What the constructor of a response can't set. */
export type ResponseOrigin = Pick<Response, 'url' | 'redirected' | 'type'>

/** Gives a constructed response, and its clones, what only a fetch sets: `url`, `redirected` and `type`. */
export function withOriginOf(model: ResponseOrigin, response: Response): Response {
  const { url, redirected, type } = model
  const { clone } = response
  return Object.defineProperties(response, {
    url: { value: url },
    redirected: { value: redirected },
    type: { value: type },
    clone: { value: () => withOriginOf(model, clone.call(response)) },
  })
}
