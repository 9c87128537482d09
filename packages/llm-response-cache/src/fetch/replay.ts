import { splitEvents } from './events.js'
import type { Replay } from './options.js'

/** The body of a kept stream, at the wanted pace. `timing`: of each piece its length and the time since the last. */
export function replayed(
  body: Buffer,
  timing: readonly number[],
  replay: Replay,
): ReadableStream<Uint8Array> {
  return paced(recorded(body, timing, replay))
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
