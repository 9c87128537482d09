import { ProviderStalledError } from '../errors.js'

/** What becomes of a stream when it has ended: all its bytes, or nothing where they were too many. */
export interface Recorded {
  readonly chunks: readonly Uint8Array[] | undefined
  readonly error: unknown
}

export interface RecordingOptions {
  /** More is passed on and not kept. */
  readonly maxBytes: number
  /** Upstream is given up when it is silent for so long. */
  readonly stallMs: number
  /** When nobody reads any more, read on to the end, or end at once. */
  readonly onAbandon: 'finish' | 'cancel'
  readonly onChunk: (chunk: Uint8Array) => void
  readonly onEnd: (recorded: Recorded) => void
}

/** How long a stream that nobody reads any more may take to end, before it is given up. */
const abandonedMs = 120_000

/**
 * One upstream stream for any number of readers. Each reader gets what has passed and then follows, at its
 * own pace. Upstream is read as fast as the fastest reader wants; once the recording is larger than it may
 * be, it is no longer kept, nobody can join, and upstream is read at the pace of the slowest, so that
 * memory stays bounded. When all readers leave, the recording goes on by itself.
 */
export class Recording {
  readonly #upstream: ReadableStreamDefaultReader<Uint8Array>
  readonly #options: RecordingOptions
  readonly #readers = new Set<Reader>()
  readonly #chunks: Uint8Array[] = []
  /** Chunks that were dropped from the front. */
  #dropped = 0
  #bytes = 0
  #pulling = false
  #ended = false
  #error: unknown
  #abandoned: NodeJS.Timeout | undefined

  constructor(upstream: ReadableStream<Uint8Array>, options: RecordingOptions) {
    this.#upstream = upstream.getReader()
    this.#options = options
  }

  /** Whether a newcomer can still get the stream from its beginning. */
  get joinable(): boolean {
    return this.#dropped === 0 && this.#bytes <= this.#options.maxBytes && this.#error === undefined
  }

  /** Whoever called for it may have left before it began: then nobody would ever read it. */
  attend(): void {
    setImmediate(() => {
      if (this.#readers.size === 0) this.#abandon()
    })
  }

  /** `signal` ends this reader alone. */
  read(signal?: AbortSignal | null): ReadableStream<Uint8Array> {
    const reader: Reader = { next: 0, wanted: undefined }
    this.#readers.add(reader)
    clearTimeout(this.#abandoned)
    let onAbort = () => {}
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          onAbort = () => {
            controller.error(signal?.reason)
            this.#leave(reader)
          }
        },
        pull: (controller) =>
          new Promise<void>((resolve) => {
            reader.wanted = { controller, resolve }
            this.#serve(reader)
          }),
        cancel: () => {
          signal?.removeEventListener('abort', onAbort)
          this.#leave(reader)
        },
      },
      { highWaterMark: 0 },
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    return stream
  }

  #serve(reader: Reader): void {
    const { wanted } = reader
    if (wanted === undefined) return
    const chunk = this.#chunks[reader.next - this.#dropped]
    if (chunk !== undefined) {
      reader.next++
      reader.wanted = undefined
      wanted.controller.enqueue(chunk)
      wanted.resolve()
      this.#dropPassed()
    } else if (this.#ended) {
      reader.wanted = undefined
      this.#readers.delete(reader)
      if (this.#error === undefined) wanted.controller.close()
      else wanted.controller.error(this.#error)
      wanted.resolve()
    } else void this.#pull()
  }

  async #pull(): Promise<void> {
    if (this.#pulling || this.#ended || !this.#mayPull()) return
    this.#pulling = true
    const { stallMs } = this.#options
    const stalled = setTimeout(() => this.#giveUp(new ProviderStalledError(stallMs)), stallMs)
    stalled.unref()
    try {
      const { done, value } = await this.#upstream.read()
      if (done) this.#end(undefined)
      else if (!this.#ended) this.#append(value)
    } catch (error) {
      this.#end(error)
    }
    clearTimeout(stalled)
    this.#pulling = false
    for (const reader of [...this.#readers]) this.#serve(reader)
    if (this.#readers.size === 0 && !this.#ended) void this.#pull()
  }

  /** Beyond its bound only when every reader has caught up. */
  #mayPull(): boolean {
    if (this.#bytes <= this.#options.maxBytes) return true
    if (this.#readers.size === 0) {
      this.#giveUp(new Error('The stream is too large to keep, and nobody reads it'))
      return false
    }
    const head = this.#dropped + this.#chunks.length
    return [...this.#readers].every(({ next }) => next === head)
  }

  #append(chunk: Uint8Array): void {
    this.#options.onChunk(chunk)
    this.#chunks.push(chunk)
    this.#bytes += chunk.byteLength
    this.#dropPassed()
  }

  #dropPassed(): void {
    if (this.#bytes <= this.#options.maxBytes) return
    const slowest = Math.min(...[...this.#readers].map(({ next }) => next))
    const passed = Math.min(this.#chunks.length, slowest - this.#dropped)
    if (passed <= 0) return
    this.#chunks.splice(0, passed)
    this.#dropped += passed
  }

  #leave(reader: Reader): void {
    reader.wanted?.resolve()
    reader.wanted = undefined
    if (!this.#readers.delete(reader) || this.#readers.size > 0 || this.#ended) return
    this.#abandon()
  }

  #abandon(): void {
    if (this.#ended) return
    if (this.#options.onAbandon === 'cancel') {
      this.#giveUp(new Error('Everybody left the stream'))
      return
    }
    this.#abandoned = setTimeout(() => this.#giveUp(new Error('The stream was abandoned')), abandonedMs)
    this.#abandoned.unref()
    void this.#pull()
  }

  #giveUp(error: Error): void {
    void this.#upstream.cancel(error).catch(() => {})
    this.#end(error)
    for (const reader of [...this.#readers]) this.#serve(reader)
  }

  #end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    clearTimeout(this.#abandoned)
    const whole = this.#dropped === 0 && this.#bytes <= this.#options.maxBytes
    this.#options.onEnd({ chunks: whole ? this.#chunks : undefined, error })
  }
}

interface Reader {
  /** Index of the chunk that it gets next, counted from the stream's beginning. */
  next: number
  wanted:
    | {
        readonly controller: ReadableStreamDefaultController<Uint8Array>
        resolve(): void
      }
    | undefined
}
