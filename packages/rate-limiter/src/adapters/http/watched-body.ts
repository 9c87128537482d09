/** `'left'`: cancelled, dropped unread, or not read for too long; `'broken'`: its source failed. */
export type BodyEnd = 'read' | 'left' | 'broken'

export interface WatchedBodyOptions {
  /** Called once. */
  readonly onEnd: (how: BodyEnd) => void
  readonly onChunk?: ((chunk: Uint8Array) => void) | undefined
  /**
   * How long the body may lie without being read before it counts as left; it can be read all the same. A
   * reader that waits for a slow source is not meant.
   */
  readonly maxUnreadMs: number
}

interface Watched {
  readonly end: (how: BodyEnd) => void
  readonly reader: ReadableStreamDefaultReader<Uint8Array>
}

/** A body that is dropped unread ends with the next collection of garbage. */
const dropped = new FinalizationRegistry<Watched>(({ end, reader }) => {
  reader.cancel().catch(() => {})
  end('left')
})

/** The same response, whose body's end is reported. Nothing is held up: each chunk passes through as it comes. */
export function watchedBody(response: Response, { onEnd, onChunk, maxUnreadMs }: WatchedBodyOptions): Response {
  if (response.body === null) {
    onEnd('read')
    return response
  }
  const reader = response.body.getReader()
  const key = {}
  let isOver = false
  let timer: NodeJS.Timeout | undefined
  const end = (how: BodyEnd) => {
    clearTimeout(timer)
    if (isOver) return
    isOver = true
    dropped.unregister(key)
    onEnd(how)
  }
  const awaitRead = () => {
    if (isOver) return
    timer = setTimeout(() => end('left'), maxUnreadMs)
    timer.unref?.()
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(timer)
        try {
          const { done, value } = await reader.read()
          if (done) {
            end('read')
            controller.close()
            return
          }
          onChunk?.(value)
          controller.enqueue(value)
          awaitRead()
        } catch (error) {
          end('broken')
          controller.error(error)
        }
      },
      async cancel(reason) {
        end('left')
        await reader.cancel(reason)
      },
    },
    // Nothing is read ahead: what is pulled has a reader.
    { highWaterMark: 0 },
  )
  awaitRead()
  dropped.register(body, { end, reader }, key)
  const watched = new Response(body, response)
  // What the constructor leaves empty.
  return Object.defineProperties(watched, {
    url: { value: response.url },
    redirected: { value: response.redirected },
    type: { value: response.type },
  })
}
