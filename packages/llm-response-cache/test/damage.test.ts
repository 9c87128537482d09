import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StreamJudge } from '../src/fetch/completeness.js'
import { createResponseCache } from '../src/index.js'
import { chatCall, chatStream, chatUrl, fakeProvider } from './fake.js'

const encode = (text: string) => new Uint8Array(Buffer.from(text))
const anthropic = [
  [
    'message_start',
    { message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'm', content: [], usage: {} } },
  ],
  ['content_block_start', { index: 0, content_block: { type: 'text', text: '' } }],
  ['ping', {}],
  ['content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'Grüße 🙂 ' } }],
  ['content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'there' } }],
  ['content_block_stop', { index: 0 }],
  ['message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 3 } }],
  ['message_stop', {}],
] as const
const responses = [
  ['response.created', { response: { id: 'r', status: 'in_progress' } }],
  ['response.output_text.delta', { delta: 'Grüße 🙂' }],
  [
    'response.completed',
    { response: { id: 'r', status: 'completed', output: [], usage: { total_tokens: 3 } } },
  ],
] as const
const written = (events: readonly (readonly [string, object])[], end: string) =>
  events
    .map(([type, members]) => `event: ${type}${end}data: ${JSON.stringify({ type, ...members })}${end}${end}`)
    .join('')

const whole: Readonly<Record<string, Uint8Array>> = {
  chat: encode(chatStream('The ünswer is 42 🙂 and more', true)),
  bare: encode(chatStream('The ünswer is 42 🙂 and more')),
  anthropic: encode(written(anthropic, '\n')),
  crlf: encode(written(anthropic, '\r\n')),
  responses: encode(written(responses, '\n')),
}

/** Garbage in the place of an event: no proper answer contains it. */
const garbage = [
  'data: {"error":{"message":"overloaded"}}\n\n',
  'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
  'data: {"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n',
  'data: {"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}\n\n',
  'data: {"type":"message_delta","delta":{"stop_reason":"max_tokens"}}\n\n',
  'data: {"type":"response.incomplete","response":{}}\n\n',
  'data: {"choices":[{"index":7,"delta":{"content":"never finished"}}]}\n\n',
  'data: {not json\n\n',
  'data: [1]\n\n',
  'data: <html>502</html>\n\n',
  'data: nul\u0000l\n\n',
].map(encode)

const damages = fc.record({
  kind: fc.constantFrom(...Object.keys(whole)),
  how: fc.constantFrom('truncated', 'reset', 'garbage', 'bytes'),
  /** Where the damage is, as a share of the stream. */
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  garbage: fc.constantFrom(...garbage),
  pieces: fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 }),
})

/** The bytes of a damaged stream, and whether the connection is cut at their end. */
function damaged({
  kind,
  how,
  at,
  garbage: added,
}: typeof damages extends fc.Arbitrary<infer D> ? D : never) {
  const bytes = Buffer.from(whole[kind] ?? [])
  const end = Buffer.from(kind === 'crlf' ? '\r\n\r\n' : '\n\n')
  // Its last event says that all is well: whatever is cut is cut before that has ended.
  const lastEvent = bytes.lastIndexOf(end, bytes.length - end.length - 1) + end.length
  const entryKey = Math.floor(at * (bytes.length - end.length))
  switch (how) {
    case 'truncated':
      return { bytes: bytes.subarray(0, entryKey), isCut: false }
    case 'reset':
      // A connection that is cut after the last byte is cut all the same.
      return { bytes: bytes.subarray(0, Math.floor(at * (bytes.length + 1))), isCut: true }
    case 'bytes':
      // Bytes that are invalid UTF-8.
      return {
        bytes: Buffer.concat([
          bytes.subarray(0, entryKey),
          Buffer.from([0xff, 0xfe]),
          bytes.subarray(entryKey),
        ]),
        isCut: false,
      }
    default: {
      const before = bytes.lastIndexOf(end, Math.min(entryKey, lastEvent - 1))
      const from = before === -1 ? 0 : before + end.length
      return { bytes: Buffer.concat([bytes.subarray(0, from), added, bytes.subarray(from)]), isCut: false }
    }
  }
}

function inPieces(bytes: Buffer, lengths: readonly number[]): Uint8Array<ArrayBuffer>[] {
  const pieces: Uint8Array<ArrayBuffer>[] = []
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length] ?? 1
    pieces.push(new Uint8Array(bytes.subarray(at, at + length)))
    at += length
  }
  return pieces
}

const urls: Readonly<Record<string, string>> = {
  anthropic: 'https://api.example.com/v1/messages',
  crlf: 'https://api.example.com/v1/messages',
  responses: 'https://api.example.com/v1/responses',
}

const scale = Number(process.env.EVENKEEL_RUNS ?? 1)

describe('damaged streams', () => {
  it('of 100,000 none is taken for whole, however they are cut into pieces', () => {
    const isWhole = (bytes: Buffer, pieces: readonly number[]) => {
      const judge = new StreamJudge()
      for (const piece of inPieces(bytes, pieces)) judge.push(piece)
      judge.end()
      return judge.whole
    }
    for (const bytes of Object.values(whole)) {
      for (const length of [1, 3, 50, 10_000]) expect(isWhole(Buffer.from(bytes), [length])).toBe(true)
    }
    fc.assert(
      fc.property(damages, (damage) => {
        const { bytes, isCut } = damaged(damage)
        // A cut connection shows as an error of the stream; the bytes may look complete.
        return isCut || !isWhole(bytes, damage.pieces)
      }),
      { numRuns: 100_000 },
    )
  }, 180_000)

  it(
    'are not kept by the fetch, and all that are whole are',
    async () => {
      const cache = createResponseCache({ singleFlight: 'process' })
      let next: { pieces: Uint8Array<ArrayBuffer>[]; isCut: boolean } = { pieces: [], isCut: false }
      const provider = fakeProvider(() => {
        const { pieces, isCut } = next
        const body = new ReadableStream<Uint8Array>({
          pull: (controller) => {
            const piece = pieces.shift()
            if (piece !== undefined) controller.enqueue(piece)
            else if (isCut) controller.error(new TypeError('terminated'))
            else controller.close()
          },
        })
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
      })
      const cached = cache.fetch({ fetch: provider.fetch })
      let asked = 0
      const ask = async (kind: string, bytes: Buffer, pieces: readonly number[], isCut: boolean) => {
        next = { pieces: inPieces(bytes, pieces), isCut }
        const url = urls[kind] ?? chatUrl
        const usage = kind === 'chat' ? { stream_options: { include_usage: true } } : {}
        const prompt = `prompt ${asked++}`
        const call =
          kind === 'responses'
            ? {
                method: 'POST',
                body: JSON.stringify({ model: 'gpt-4o', input: prompt, store: false, stream: true }),
              }
            : chatCall(prompt, {}, { stream: true, ...usage })
        const response = await cached(url, call)
        await response.arrayBuffer().catch(() => {})
      }
      for (const [kind, bytes] of Object.entries(whole)) {
        for (const length of [1, 3, 50, 10_000]) await ask(kind, Buffer.from(bytes), [length], false)
      }
      const kept = Object.keys(whole).length * 4
      await expect.poll(() => cache.stats().stored).toBe(kept)
      await fc.assert(
        fc.asyncProperty(damages, async (damage) => {
          const { bytes, isCut } = damaged(damage)
          await ask(damage.kind, bytes, damage.pieces, isCut)
          expect(cache.stats().stored).toBe(kept)
        }),
        { numRuns: 3_000 * scale },
      )
      await new Promise((resolve) => setImmediate(resolve))
      expect(cache.stats()).toMatchObject({ stored: kept, hits: 0, misses: asked })
      await cache.close()
    },
    180_000 * scale,
  )
})
