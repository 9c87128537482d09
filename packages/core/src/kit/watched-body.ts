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
 * them; nothing is kept. A response without a body, or whose body another reader has, ends at once.
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
          // The source of a chunk that `onChunk` refused is not read any further.
          reader.cancel(error).catch(() => {})
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
  return withOriginOf(response, new Response(body, { status, statusText, headers }))
}

/** Statuses with which no `Response` with a body can be constructed, though a server may make one by other means. */
function mayHaveBody(status: number): boolean {
  return status >= 200 && status <= 599 && status !== 204 && status !== 205 && status !== 304
}

/** What a response that is constructed can't be given. */
export type ResponseOrigin = Pick<Response, 'url' | 'redirected' | 'type'>

/** Gives a response that was constructed, and its clones, what only those of a fetch have: `url`, `redirected`, `type`. */
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
