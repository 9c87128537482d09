import { isResponse, onAbort, withOriginOf } from '@evenkeel/core/kit'

/** What became of an answer's body. */
export type BodyEnd =
  | { readonly kind: 'read' | 'left'; readonly error?: undefined }
  | { readonly kind: 'broken' | 'aborted'; readonly error: unknown }

/** What is reported of a body while it passes. Times are the host's business. */
export interface BodyWatcher {
  /** The reader waits for the next chunk. */
  waiting(): void
  chunk(chunk: Uint8Array): void
  /** Called exactly once. */
  end(end: BodyEnd): void
}

interface Unread {
  readonly end: (end: BodyEnd) => void
  readonly reader: ReadableStreamDefaultReader<Uint8Array>
}

/** An answer that is dropped unread releases its slot when it is garbage-collected. */
const dropped = new FinalizationRegistry<Unread>(({ end, reader }) => {
  reader.cancel().catch(() => {})
  end({ kind: 'left' })
})

/**
 * The same answer, watched until its body has been read, left or broken off, or until the signal ends it, so the call
 * that made it need not follow the signal any more. Its body is a byte stream, as that of `fetch`.
 */
export function watchedAnswer(
  answer: Response,
  watcher: BodyWatcher,
  signal?: AbortSignal | undefined,
): Response {
  if (answer.body === null) {
    watcher.end({ kind: 'read' })
    return answer
  }
  const body = watchedStream(answer.body, watcher, signal)
  const { status, statusText, headers } = answer
  return withOriginOf(answer, new Response(body, { status, statusText, headers }))
}

/**
 * As {@link watchedAnswer}, for a stream. `watchedBody` of core's kit would not do: a node is judged by how long its
 * caller waits for each chunk, the caller's signal must end the body after the call that made it, and a reader with its
 * own buffers needs a byte stream. Each of these costs time per chunk that other users of `watchedBody` need not spend.
 */
export function watchedStream(
  source: ReadableStream<Uint8Array>,
  watcher: BodyWatcher,
  signal?: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  const reader = source.getReader()
  const key = {}
  let isOver = false
  let onOver = () => {}
  const end = (how: BodyEnd) => {
    if (isOver) return
    isOver = true
    onOver()
    dropped.unregister(key)
    watcher.end(how)
  }
  const watched = new ReadableStream({
    type: 'bytes',
    start(controller) {
      // The signal refers to the stream only by this weak reference, so a dropped answer can be garbage-collected.
      const held = new WeakRef(controller)
      onOver = onAbort(signal, (reason) => {
        end({ kind: 'aborted', error: reason })
        reader.cancel(reason).catch(() => {})
        held.deref()?.error(reason)
      })
    },
    async pull(controller) {
      try {
        watcher.waiting()
        let { done, value } = await reader.read()
        while (!done && value?.byteLength === 0) ({ done, value } = await reader.read())
        if (isOver) return
        if (done || value === undefined) {
          end({ kind: 'read' })
          controller.close()
          controller.byobRequest?.respond(0)
          return
        }
        watcher.chunk(value)
        // A copy, because the controller takes over the memory, which others may share. `slice` of a Buffer is no copy.
        controller.enqueue(new Uint8Array(value))
      } catch (error) {
        if (isOver) return
        end({ kind: 'broken', error })
        controller.error(error)
      }
    },
    async cancel(reason) {
      end({ kind: 'left' })
      await reader.cancel(reason)
    },
  })
  dropped.register(watched, { end, reader }, key)
  return watched
}

/**
 * Watches the iterable that a provider's client returns for a stream. The object stays the same, and is iterated as
 * before. `false` if it can't be watched.
 */
export function watchIterable(value: object, watcher: BodyWatcher): boolean {
  const name = 'iterator' in value && typeof value.iterator === 'function' ? 'iterator' : Symbol.asyncIterator
  const begin: unknown = Reflect.get(value, name)
  if (typeof begin !== 'function') return false
  let isOver = false
  const key = {}
  const end = (how: BodyEnd) => {
    if (isOver) return
    isOver = true
    leftIterables.unregister(key)
    watcher.end(how)
  }
  const watched = () => watchedIterator(begin.call(value) as AsyncIterator<unknown>, watcher, end)
  if (!Reflect.defineProperty(value, name, { value: watched, configurable: true, writable: true }))
    return false
  leftIterables.register(value, end, key)
  return true
}

const leftIterables = new FinalizationRegistry<(end: BodyEnd) => void>((end) => end({ kind: 'left' }))
const nothing = new Uint8Array()

function watchedIterator(
  inner: AsyncIterator<unknown>,
  watcher: BodyWatcher,
  end: (end: BodyEnd) => void,
): AsyncIterableIterator<unknown> {
  return {
    async next() {
      watcher.waiting()
      try {
        const result = await inner.next()
        if (result.done === true) end({ kind: 'read' })
        else watcher.chunk(nothing)
        return result
      } catch (error) {
        end({ kind: 'broken', error })
        throw error
      }
    },
    async return(value) {
      end({ kind: 'left' })
      return (await inner.return?.(value)) ?? { done: true, value }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/** Cancels an answer that will not be read, since it would keep its connection and its slot. */
export function drop(answer: unknown): void {
  if (isResponse(answer) && !answer.bodyUsed) answer.body?.cancel().catch(() => {})
}
