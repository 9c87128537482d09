import { type LongTimer, nextTick, onAbort, setImmediate, setLongTimeout } from '@evenkeel/core/kit'
import { ProviderStalledError } from '../errors.js'
import type { AbandonedWork } from './abandoned.js'

/** Where the pieces come from. */
export interface StreamSource<T> {
  read(): Promise<{ readonly done?: boolean | undefined; readonly value?: T | undefined }>
  cancel(reason: unknown): Promise<void>
}

/** How a stream ended: all its pieces, or `undefined` if they were too many; and the error that ended it. */
export interface StreamEnd<T> {
  readonly pieces: readonly T[] | undefined
  readonly error: { readonly reason: unknown } | undefined
}

export interface SharedStreamOptions<T> {
  /** A longer stream is passed on and not recorded. */
  readonly maxSize: number
  sizeOf(piece: T): number
  /**
   * Joins the pieces that wait for a reader into a new one, also if there is only one, so that a reader may change its
   * copy. Without it every piece is handed on by itself.
   */
  join?(pieces: readonly T[]): T
  /** A source that is silent for this long is given up. */
  readonly stallMs: number
  /** When the last reader has left: read on to the end, or end at once. */
  readonly onAbandon: 'finish' | 'cancel'
  /** Counts the streams that are read to their end without a reader. */
  readonly abandoned?: AbandonedWork | undefined
  onPiece?(piece: T): void
  /** Called once. */
  onEnd(end: StreamEnd<T>): void
}

/** How long a stream without a reader may take to end, before it is given up. */
const abandonedMs = 120_000

/** Pieces that wait for a reader are joined to pieces of about this size. */
const maxJoined = 65_536

/** Silence that is suspect after a reader left: providers send a piece every few tens of milliseconds. */
const suspectMs = 250

interface Reader {
  /** Index of the piece that it gets next, counted from the stream's beginning. */
  next: number
  /** It waits for a piece that has not come. */
  wake: (() => void) | undefined
  unfollow: () => void
}

/** A reader whose stream was dropped unread leaves at the next garbage collection. */
const dropped = new FinalizationRegistry<() => void>((leave) => leave())

/**
 * One source for any number of readers. Each gets the pieces that have come and then follows, at its own pace. The
 * source is read ahead, whether readers ask or not, up to the bound; beyond it nothing is recorded, nobody can join,
 * and the source is read at the pace of the slowest reader, so that memory stays bounded.
 */
export class SharedStream<T> {
  readonly #source: StreamSource<T>
  readonly #options: SharedStreamOptions<T>
  readonly #readers = new Set<Reader>()
  readonly #pieces: T[] = []
  /** Pieces that were let go from the front. */
  #dropped = 0
  #size = 0
  #end: StreamEnd<T>['error'] | 'done'
  #abandoned: LongTimer | undefined
  #lastAt = performance.now()
  #stalled: LongTimer | undefined
  /** How many pieces had come when a reader last left before the end. */
  #leftAt = -1
  /** Its first reader has had the time to come. */
  #isAttended = false
  #isWaking = false
  /** Resolves the source's wait for readers, beyond the bound. */
  #resume: (() => void) | undefined

  constructor(source: StreamSource<T>, options: SharedStreamOptions<T>) {
    this.#source = source
    this.#options = options
    this.#watch()
    void this.#run()
    // The caller may have left before the stream began: then nobody would ever read it.
    setImmediate(() => {
      this.#isAttended = true
      if (this.#readers.size === 0) this.#abandon()
      this.#resume?.()
    })
  }

  /** Whether a newcomer would get the stream from its beginning, and no error as far as is known. */
  get joinable(): boolean {
    return !this.#isTooLarge && (this.#end === undefined || this.#end === 'done')
  }

  /** A reader left before the end, and nothing has come since, for longer than between two pieces: it may hang. */
  get isSuspect(): boolean {
    if (this.#end !== undefined || this.#leftAt !== this.#dropped + this.#pieces.length) return false
    return performance.now() - this.#lastAt > suspectMs
  }

  /** `signal` ends this reader alone. */
  read(signal?: AbortSignal | null): ReadableStream<T> {
    const reader: Reader = { next: 0, wake: undefined, unfollow: () => {} }
    this.#readers.add(reader)
    this.#resumeReading()
    const leave = () => this.#leave(reader)
    const stream = new ReadableStream<T>(
      {
        start: (controller) => {
          // Held weakly: a long-lived signal must not keep what a caller has dropped.
          const held = new WeakRef(controller)
          reader.unfollow = onAbort(signal ?? undefined, (reason) => {
            held.deref()?.error(reason)
            leave()
          })
        },
        pull: (controller) => this.#pull(reader, controller),
        cancel: leave,
      },
      { highWaterMark: 0 },
    )
    dropped.register(stream, leave, reader)
    return stream
  }

  /** All pieces, once the stream has ended. @throws what ended it, or the signal's reason */
  async readAll(signal?: AbortSignal): Promise<T[]> {
    const all: T[] = []
    const reader = this.read(signal).getReader()
    for (let read = await reader.read(); !read.done; read = await reader.read()) all.push(read.value)
    return all
  }

  get #isTooLarge(): boolean {
    return this.#size > this.#options.maxSize
  }

  async #pull(reader: Reader, controller: ReadableStreamDefaultController<T>): Promise<void> {
    for (;;) {
      if (!this.#readers.has(reader)) return
      const piece = this.#next(reader)
      if (piece !== undefined) {
        controller.enqueue(piece)
        this.#letGo()
        return
      }
      if (this.#end !== undefined) {
        this.#forget(reader)
        if (this.#end === 'done') controller.close()
        else controller.error(this.#end.reason)
        return
      }
      await new Promise<void>((resolve) => {
        reader.wake = resolve
        this.#resume?.()
      })
      reader.wake = undefined
    }
  }

  /** The next piece for a reader; several joined ones if pieces can be joined. */
  #next(reader: Reader): T | undefined {
    const { join, sizeOf } = this.#options
    const first = reader.next - this.#dropped
    if (first >= this.#pieces.length) return undefined
    if (join === undefined) {
      reader.next++
      return this.#pieces[first]
    }
    const some: T[] = []
    for (let at = first, size = 0; at < this.#pieces.length && size < maxJoined; at++) {
      const piece = this.#pieces[at] as T
      some.push(piece)
      size += sizeOf(piece)
    }
    reader.next += some.length
    return join(some)
  }

  async #run(): Promise<void> {
    try {
      while (this.#end === undefined) {
        if (this.#isTooLarge) await this.#untilWanted()
        if (this.#end !== undefined) return
        this.#lastAt = performance.now()
        const { done, value } = await this.#source.read()
        if (this.#end !== undefined) return
        if (done || value === undefined) return this.#finish('done')
        this.#append(value)
      }
    } catch (reason) {
      this.#finish({ reason })
    }
  }

  /** Beyond the bound, waits until every reader has caught up and one of them wants more. */
  async #untilWanted(): Promise<void> {
    while (this.#end === undefined) {
      if (this.#readers.size === 0 && this.#isAttended) {
        this.#giveUp(new Error('The stream is too large to keep, and nobody reads it'))
        return
      }
      const head = this.#dropped + this.#pieces.length
      const all = [...this.#readers]
      if (all.every(({ next }) => next === head) && all.some(({ wake }) => wake !== undefined)) return
      await new Promise<void>((resolve) => {
        this.#resume = resolve
      })
      this.#resume = undefined
    }
  }

  #append(piece: T): void {
    this.#options.onPiece?.(piece)
    this.#pieces.push(piece)
    this.#size += this.#options.sizeOf(piece)
    this.#wakeSoon()
  }

  /**
   * Wakes the readers after the microtasks in which the source delivers pieces that came together: a network's chunk
   * has many pieces, and waking the readers for each of them costs more than reading it.
   */
  #wakeSoon(): void {
    if (this.#isWaking) return
    this.#isWaking = true
    nextTick(() => {
      this.#isWaking = false
      this.#wakeAll()
    })
  }

  /** A stream that is not recorded keeps pieces only until the slowest reader has them. */
  #letGo(): void {
    if (!this.#isTooLarge) return
    const head = this.#dropped + this.#pieces.length
    const slowest = Math.min(head, ...[...this.#readers].map(({ next }) => next))
    this.#pieces.splice(0, slowest - this.#dropped)
    this.#dropped = slowest
    this.#resume?.()
  }

  #leave(reader: Reader): void {
    if (!this.#readers.has(reader)) return
    this.#forget(reader)
    reader.wake?.()
    if (this.#end !== undefined) return
    this.#leftAt = this.#dropped + this.#pieces.length
    this.#letGo()
    this.#resume?.()
    if (this.#readers.size === 0) this.#abandon()
  }

  #forget(reader: Reader): void {
    this.#readers.delete(reader)
    reader.unfollow()
    dropped.unregister(reader)
  }

  #abandon(): void {
    if (this.#end !== undefined) return
    if (this.#options.onAbandon === 'cancel') return this.#giveUp(new Error('All readers left the stream'))
    this.#abandoned ??= setLongTimeout(() => this.#giveUp(new Error('The stream was abandoned')), abandonedMs)
    this.#options.abandoned?.add(this, (reason) => this.#giveUp(reason))
  }

  /** Ends the abandonment: a caller reads the stream, or it is over. */
  #resumeReading(): void {
    if (this.#abandoned === undefined) return
    this.#abandoned.clear()
    this.#abandoned = undefined
    this.#options.abandoned?.delete(this)
  }

  /** One timer for the whole stream: it looks whether something came since it was set. */
  #watch(): void {
    const { stallMs } = this.#options
    const silentMs = performance.now() - this.#lastAt
    this.#stalled = setLongTimeout(
      () => {
        const isWaiting = !this.#isTooLarge || this.#resume === undefined
        if (performance.now() - this.#lastAt < stallMs || !isWaiting) this.#watch()
        else this.#giveUp(new ProviderStalledError(stallMs))
      },
      Math.max(1, stallMs - silentMs),
    )
  }

  #giveUp(reason: Error): void {
    if (this.#end !== undefined) return
    void Promise.resolve(this.#source.cancel(reason)).catch(() => {})
    this.#finish({ reason })
  }

  #finish(end: 'done' | { readonly reason: unknown }): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#resumeReading()
    this.#stalled?.clear()
    this.#resume?.()
    const isWhole = this.#dropped === 0 && !this.#isTooLarge
    this.#options.onEnd({
      pieces: isWhole ? this.#pieces : undefined,
      error: end === 'done' ? undefined : end,
    })
    this.#wakeAll()
    // Readers may still read the pieces that have come; their signals are no longer followed.
    for (const { unfollow } of this.#readers) unfollow()
  }

  #wakeAll(): void {
    for (const { wake } of this.#readers) wake?.()
  }
}

export function joinBytes(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces
  if (pieces.length === 1 && only !== undefined) return new Uint8Array(only)
  const joined = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const piece of pieces) {
    joined.set(piece, at)
    at += piece.byteLength
  }
  return joined
}

/** A web stream, or anything that can be iterated over, such as a stream of Node. */
export function sourceOf<T>(stream: ReadableStream<T> | AsyncIterable<T>): StreamSource<T> {
  if ('getReader' in stream) {
    const reader = stream.getReader()
    return { read: () => reader.read(), cancel: (reason) => reader.cancel(reason) }
  }
  const iterator = stream[Symbol.asyncIterator]()
  return {
    read: async () => iterator.next(),
    cancel: async () => {
      await iterator.return?.()
    },
  }
}

/** For one reader, at its pace. */
export function toWebStream<T>(source: StreamSource<T>): ReadableStream<T> {
  return new ReadableStream<T>(
    {
      pull: async (controller) => {
        const { done, value } = await source.read()
        if (done || value === undefined) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => source.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}
