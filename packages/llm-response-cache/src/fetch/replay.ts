import { splitEvents } from './events.js'
import { isLines } from './forms/forms.js'
import type { Replay } from './options.js'

/** The body of a stored stream at the wanted pace. `timing`: for each piece, its length and the ms since the last. */
export function replayed(
  body: Buffer,
  timing: readonly number[],
  { replay, contentType }: { readonly replay: Replay; readonly contentType: string },
): ReadableStream<Uint8Array> {
  if (replay === 'recorded' && timing.length > 0) return paced(recorded(body, timing))
  return paced(byPiece(body, replay, contentType))
}

interface Step {
  readonly bytes: Uint8Array
  readonly afterMs: number
}

/** The original pieces and pauses. */
function recorded(body: Buffer, timing: readonly number[]): Step[] {
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

/** One event or line at a time, which is about one token. */
function byPiece(body: Buffer, replay: Replay, contentType: string): Step[] {
  const perSecond = typeof replay === 'object' ? replay.tokensPerSecond : Number.POSITIVE_INFINITY
  const text = body.toString()
  const [pieces, end] = isLines(contentType) ? [text.split('\n'), '\n'] : [splitEvents(text), '\n\n']
  return pieces
    .filter((piece) => piece !== '')
    .map((piece) => ({ bytes: Buffer.from(piece + end), afterMs: 1_000 / perSecond }))
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
