import { LeaderLostError } from '../errors.js'
import type { LogRecord } from '../stores/port.js'
import { Recording } from '../streams/recording.js'
import type { SharedResponse } from './shared-response.js'

/** Where an answer goes on after its leader was lost. */
export type Successor =
  | { readonly kind: 'body'; readonly body: Buffer }
  | { readonly kind: 'live'; readonly live: SharedResponse }

export type Opened =
  | { readonly kind: 'live'; readonly live: SharedResponse }
  /** The answer stands in the entry. */
  | { readonly kind: 'entry' }
  /** Another one may lead now. */
  | { readonly kind: 'lost' }
  /** The provider failed for the leader; how, is not for everybody. */
  | { readonly kind: 'failed' }

interface Head {
  readonly status: number
  readonly statusText: string
  readonly headers: [string, string][]
}

/** An answer that another instance gets, live here too. `succeed` finds where it goes on if that one dies. */
export async function openFollowed(
  records: AsyncGenerator<LogRecord>,
  succeed: () => Promise<Successor>,
  options: { readonly maxBytes: number; readonly stop: () => void; readonly landed: () => void },
): Promise<Opened> {
  const first = await records.next()
  if (first.done) return { kind: 'lost' }
  if (first.value.type === 'failed') return { kind: 'failed' }
  if (first.value.type !== 'head') return { kind: 'entry' }
  const head = JSON.parse(first.value.data.toString()) as Head
  const recording = new Recording(streamOf(bodyOf(records, succeed, head, options.maxBytes), options.stop), {
    maxBytes: options.maxBytes,
    // The leader watches the provider, and its lease tells of its own life.
    stallMs: 2 ** 31 - 1,
    onAbandon: 'cancel',
    onChunk: () => {},
    onEnd: options.landed,
  })
  recording.attend()
  const { status, statusText } = head
  const headers = new Headers(head.headers)
  const live: SharedResponse = {
    ...{ status, statusText, headers, recording, joined: { count: 0 } },
    isSpoilt: () => false,
    // What the leader asked for is not told: who needs more than a bare stream asks for himself.
    usageAsked: false,
  }
  return { kind: 'live', live }
}

/**
 * What the leader publishes. If it dies, the answer goes on from its successor's, but only if that begins, byte
 * for byte, with what was passed on already: never two answers spliced.
 */
async function* bodyOf(
  records: AsyncGenerator<LogRecord>,
  succeed: () => Promise<Successor>,
  head: Head,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  const passed: Buffer[] = []
  let length = 0
  for await (const { type, data } of records) {
    if (type === 'end') return
    if (type === 'failed') throw new TypeError('The provider’s answer broke off')
    if (data.byteLength === 0) continue
    passed.push(data)
    length += data.byteLength
    yield data
  }
  // More than is kept can't be compared either.
  if (length > maxBytes) throw new LeaderLostError(length)
  const successor = await succeed().catch((cause: unknown) => {
    throw new LeaderLostError(length, { cause })
  })
  if (successor.kind === 'live' && !isAlike(head, successor.live)) throw new LeaderLostError(length)
  yield* after(Buffer.concat(passed), successor.kind === 'body' ? [successor.body] : chunksOf(successor.live))
}

function isAlike(head: Head, { status, headers }: SharedResponse): boolean {
  const known = new Headers(head.headers).get('content-type')
  return status === head.status && headers.get('content-type') === known
}

/** What comes after a beginning that must be equal. */
async function* after(
  beginning: Buffer,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let at = 0
  for await (const chunk of chunks) {
    const shared = Math.min(chunk.byteLength, beginning.byteLength - at)
    if (!beginning.subarray(at, at + shared).equals(chunk.subarray(0, shared))) {
      throw new LeaderLostError(beginning.byteLength)
    }
    at += shared
    if (shared < chunk.byteLength) yield chunk.subarray(shared)
  }
  if (at < beginning.byteLength) throw new LeaderLostError(beginning.byteLength)
}

async function* chunksOf({ recording }: SharedResponse): AsyncGenerator<Uint8Array> {
  const reader = recording.read().getReader()
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value
  } finally {
    void reader.cancel().catch(() => {})
  }
}

function streamOf(chunks: AsyncGenerator<Uint8Array>, stop: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const { done, value } = await chunks.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: async () => {
        stop()
        await chunks.return(undefined)
      },
    },
    { highWaterMark: 0 },
  )
}
