import { LeaderLostError } from '../errors.js'
import type { Followed, FollowOptions } from '../lookup/call.js'
import { isGivenUp } from '../lookup/flight.js'
import type { LogRecord } from '../stores/port.js'
import { joinBytes, SharedStream, type StreamSource, sourceOf } from '../streams/shared-stream.js'
import type { SharedResponse } from './shared-response.js'

interface Head {
  readonly status: number
  readonly statusText: string
  readonly headers: [string, string][]
  readonly usageAsked?: boolean | undefined
}

/** Shares another instance's answer with callers here. If its leader dies, a successor's answer continues it. */
export async function followResponse(
  records: AsyncGenerator<LogRecord>,
  { succeed, stop }: FollowOptions<SharedResponse>,
  { url, maxBytes, stallMs }: { readonly url: string; readonly maxBytes: number; readonly stallMs: number },
): Promise<Followed<SharedResponse>> {
  const first = await records.next()
  if (first.done) return { kind: 'lost' }
  const { type, data } = first.value
  if (type === 'failed') return { kind: isGivenUp(data) ? 'lost' : 'failed' }
  if (type !== 'head') return { kind: 'entry' }
  const head = JSON.parse(data.toString()) as Head
  let settle = () => {}
  const ended = new Promise<void>((resolve) => {
    settle = resolve
  })
  const source: StreamSource<Uint8Array> = sourceOf(bodyOf(records, succeed, head, maxBytes))
  const body = new SharedStream<Uint8Array>(
    {
      read: source.read,
      cancel: async (reason) => {
        stop()
        await source.cancel(reason)
      },
    },
    // The leader watches the provider, so a follower waits longer than the leader may.
    {
      maxSize: maxBytes,
      stallMs: 2 * stallMs,
      onAbandon: 'cancel',
      sizeOf: ({ byteLength }) => byteLength,
      join: joinBytes,
      onEnd: settle,
    },
  )
  const live: SharedResponse = {
    status: head.status,
    statusText: head.statusText,
    url,
    headers: new Headers(head.headers),
    body,
    isSpoilt: () => false,
    usageAsked: head.usageAsked === true,
    identity: undefined,
    joined: { count: 0 },
  }
  return { kind: 'live', live, ended }
}

/**
 * Yields what the leader publishes. If it dies, the successor's answer continues it, but only if that begins, byte
 * for byte, with what was passed on already: two different answers are never joined.
 */
async function* bodyOf(
  records: AsyncGenerator<LogRecord>,
  succeed: FollowOptions<SharedResponse>['succeed'],
  head: Head,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  const passed: Buffer[] = []
  let length = 0
  for await (const { type, data } of records) {
    if (type === 'end') return
    if (type === 'failed') {
      if (isGivenUp(data)) break
      throw new TypeError('The provider’s answer broke off')
    }
    if (data.byteLength === 0) continue
    passed.push(data)
    length += data.byteLength
    yield data
  }
  // An answer too large to be stored is not compared either.
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

/** Yields what comes after the beginning. @throws LeaderLostError if the chunks begin with something else */
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

async function* chunksOf({ body }: SharedResponse): AsyncGenerator<Uint8Array> {
  if (Buffer.isBuffer(body)) yield body
  else yield* body.read()
}
