import { isResponse, onAbort, withOriginOf } from '@evenkeel/core/kit'

/** What became of an answer's body. */
export type BodyEnd =
  | { readonly kind: 'read' | 'left'; readonly error?: undefined }
  | { readonly kind: 'broken' | 'aborted'; readonly error: unknown }

/** What is reported of a body while it passes. Times are the host's business. */
export interface BodyWatcher {
  /** The reader waits for the next piece, which the source has not sent yet. */
  waiting(): void
  chunk(chunk: Uint8Array): void
  /** Once, in every case. */
  end(end: BodyEnd): void
}

interface Unread {
  readonly end: (end: BodyEnd) => void
  readonly reader: ReadableStreamDefaultReader<Uint8Array>
}

/** An answer that is dropped unread gives its place back with the next collection of garbage. */
const dropped = new FinalizationRegistry<Unread>(({ end, reader }) => {
  reader.cancel().catch(() => {})
  end({ kind: 'left' })
})

/**
 * The same answer, watched until its body has been read, left, or broken off, or the signal ends it: whatever made
 * it need not listen to the signal any more. A reader of its own buffers gets a stream of bytes, as from `fetch`.
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
 * As {@link watchedAnswer}, for the stream alone. Not `watchedBody` of core's kit, which tells only of the end: a node
 * is judged by how long its caller waits for each piece, the caller's signal ends the body though the call that made
 * it listens no more, and a reader of its own buffers must get a stream of bytes. Each of these costs every chunk
 * something that the other users of `watchedBody` need not pay.
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
      // The stream holds the signal by this, and the signal only the controller: an answer that is dropped can be collected.
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
        // A copy, since the controller takes the memory over, of which others have parts: `slice` of a Buffer is none.
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
 * Watches what a client of a provider gives for a stream: the object itself, which is iterated as before. Nothing
 * where it can't be watched.
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

/** It will not be read, and unread it would keep its connection and its slot. */
export function drop(answer: unknown): void {
  if (isResponse(answer) && !answer.bodyUsed) answer.body?.cancel().catch(() => {})
}
