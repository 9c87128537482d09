import { bytesOf, type Entry } from '../entry/entry.js'
import type { WantedForm } from '../key/request-key.js'
import type { Outcome } from '../usage/stats.js'
import type { Replay } from './cached-fetch.js'
import { splitEvents } from './events.js'
import { type Formed, inForm, isStream } from './forms/forms.js'

export const cacheHeader = 'x-evenkeel-cache'
export const semanticHeader = 'x-evenkeel-semantic'

/** Headers that told of one transfer, not of the answer. The body is decompressed already. */
const ofTheTransfer = ['connection', 'content-encoding', 'content-length', 'keep-alive', 'transfer-encoding']
/** What told of one caller's account at one moment. */
const ofTheMoment =
  /^(?:set-cookie|date|retry-after|openai-processing-ms|x-ratelimit-.*|anthropic-ratelimit-.*)$/

/** A kept answer as a response in the wanted form; nothing where it can't be had in that. */
export function serveEntry(
  entry: Entry,
  wanted: WantedForm,
  told: { readonly outcome: Outcome; readonly ageMs: number; readonly semantic?: string | undefined },
  replay: Replay,
): Response | undefined {
  const whole: Formed = { contentType: entry.contentType, body: bytesOf(entry) }
  const formed = entry.status === 200 ? inForm(whole, wanted) : whole
  if (formed === undefined) return undefined
  const headers = new Headers({
    'content-type': formed.contentType,
    age: String(Math.floor(told.ageMs / 1_000)),
    [cacheHeader]: told.outcome,
  })
  if (told.semantic !== undefined) headers.set(semanticHeader, told.semantic)
  const isPaced = replay !== 'instant' && isStream(formed.contentType)
  const body = isPaced
    ? paced(
        formed.body === whole.body
          ? recorded(formed.body, entry.timing, replay)
          : byEvent(formed.body, replay),
      )
    : new Uint8Array(formed.body)
  return new Response(body, { status: entry.status, headers })
}

/** Whether an entry can be had in a form. Reads it only where the form is another one. */
export function canServe({ kind, status, contentType, body }: Entry, wanted: WantedForm): boolean {
  if (kind !== 'response') return false
  if (status !== 200) return true
  if (isStream(contentType) === wanted.streamed && (wanted.wire !== 'openai-chat' || !wanted.streamed))
    return true
  return inForm({ contentType, body: Buffer.isBuffer(body) ? body : Buffer.from(body) }, wanted) !== undefined
}

/** A response of the provider's, with our mark. `isShared`: it goes to another caller than the one it was made for. */
export function marked(
  { status, statusText, headers: own }: Pick<Response, 'status' | 'statusText' | 'headers'>,
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | string | null,
  outcome: Outcome,
  isShared = false,
): Response {
  const headers = new Headers(own)
  for (const name of ofTheTransfer) headers.delete(name)
  if (isShared) for (const name of [...headers.keys()]) if (ofTheMoment.test(name)) headers.delete(name)
  headers.set(cacheHeader, outcome)
  const hasBody = status !== 204 && status !== 205 && status !== 304
  return new Response(hasBody ? body : null, { status, statusText, headers })
}

/** Headers that may be told to other instances. */
export function shownHeaders(headers: Headers): [string, string][] {
  return [...headers].filter(([name]) => !ofTheTransfer.includes(name) && !ofTheMoment.test(name))
}

interface Step {
  readonly bytes: Uint8Array
  readonly afterMs: number
}

/** As it came, or an event at a time where no times are known. */
function recorded(body: Buffer, timing: readonly number[], replay: Replay): Step[] {
  if (replay !== 'recorded' || timing.length === 0) return byEvent(body, replay)
  const steps: Step[] = []
  let at = 0
  for (let index = 0; index + 1 < timing.length; index += 2) {
    const length = timing[index] ?? 0
    steps.push({ bytes: body.subarray(at, at + length), afterMs: timing[index + 1] ?? 0 })
    at += length
  }
  if (at < body.byteLength) steps.push({ bytes: body.subarray(at), afterMs: 0 })
  return steps
}

/** An event is about a token. */
function byEvent(body: Buffer, replay: Replay): Step[] {
  const perSecond = typeof replay === 'object' ? replay.tokensPerSecond : Number.POSITIVE_INFINITY
  return splitEvents(body.toString())
    .filter((event) => event !== '')
    .map((event) => ({ bytes: Buffer.from(`${event}\n\n`), afterMs: 1_000 / perSecond }))
}

function paced(steps: readonly Step[]): ReadableStream<Uint8Array> {
  let timer: NodeJS.Timeout | undefined
  let next = 0
  return new ReadableStream<Uint8Array>(
    {
      pull: (controller) =>
        new Promise<void>((resolve) => {
          const step = steps[next++]
          if (step === undefined) {
            controller.close()
            return resolve()
          }
          const give = () => {
            controller.enqueue(new Uint8Array(step.bytes))
            resolve()
          }
          if (step.afterMs < 1) give()
          else timer = setTimeout(give, step.afterMs)
        }),
      cancel: () => clearTimeout(timer),
    },
    { highWaterMark: 0 },
  )
}
