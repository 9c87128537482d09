import type { Member } from './fleet.js'
import { type Call, deadlineMs } from './traffic.js'

/** What was recorded of one run. */
export interface History {
  readonly calls: readonly Call[]
  readonly gateways: readonly Member[]
  readonly decoders: readonly Member[]
  /** Times of faults of Redis, and whether what it had acknowledged may be gone after them. */
  readonly faults: readonly { readonly name: string; readonly at: number; readonly losesData: boolean }[]
  readonly requestsPerMinute: number
  readonly capacity: number
  /** The most that each decoder did at once, of those that lived through it all. */
  readonly most: readonly number[]
  /** Requests that are counted at the end, when nothing is asked any more. */
  readonly heldAtTheEnd: number
  /** KiB of each gateway that lived through it all, with the seconds at which it was looked at. */
  readonly memory: readonly (readonly { readonly s: number; readonly kib: number }[])[]
}

/** Statuses of what a gateway may say when all of its decoders or its own capacity are gone. */
const excused = new Set([429, 502, 503])
/** What a process writes because Redis was away, which it should. */
const expectedWarnings = /EVENKEEL_(?:REDIS_(?:DOWN|UP)|CONNECTION_\w+|ALERT\w*)|--trace-warnings/

/** Everything that should not have been, each in a line. Knows nothing of how a gateway works. */
export function violationsIn(history: History): readonly string[] {
  return [
    ...history.calls.flatMap((call) => violationsOf(call)),
    ...strangersAnswers(history.calls),
    ...beyondLimit(history),
    ...beyondCapacity(history),
    ...(history.heldAtTheEnd === 0 ? [] : [`${history.heldAtTheEnd} requests are held at the end`]),
    ...[...history.gateways].flatMap(whatWasSaid),
  ]
}

function violationsOf(call: Call): string[] {
  const { kind, organisation, gateway, sentAt, endedAt, status, text, expected, error } = call
  const what = `${kind} of ${organisation} at ${gateway.name}, ${Math.round(sentAt)} ms`
  const wasAway = gateway.wasAway(sentAt, Number.isNaN(endedAt) ? Number.POSITIVE_INFINITY : endedAt, 500)
  const found: string[] = []
  if (Number.isNaN(endedAt)) found.push(`${what}: never ended`)
  else if (endedAt - sentAt > deadlineMs && !wasAway)
    found.push(`${what}: ended after ${Math.round(endedAt - sentAt)} ms`)
  if (text !== undefined && expected !== undefined && text !== expected) {
    found.push(`${what}: answered ${text.slice(0, 16)}, not ${expected.slice(0, 16)}`)
  }
  if (kind === 'bad' && status !== 400 && !wasAway && !excused.has(status))
    found.push(`${what}: a bad body got ${status} ${error ?? ''}`)
  if (kind === 'large' && status !== 413 && !wasAway && status !== 0)
    found.push(`${what}: a large body got ${status}`)
  const isFailed = error !== undefined && error !== 'left' && kind !== 'large'
  // A cut stream is told of by an error in it; without one the client sees none.
  const isExcused = wasAway || excused.has(status) || /cut short/.test(error ?? '')
  if (isFailed && !isExcused) found.push(`${what}: failed with ${status} ${error}`)
  return found
}

/** A hit for an organisation that had never asked is another one's answer. */
function strangersAnswers(calls: readonly Call[]): string[] {
  const asked = new Set<string>()
  const found: string[] = []
  for (const call of [...calls].sort((one, other) => one.sentAt - other.sentAt)) {
    if (call.kind === 'turn') continue
    const question = `${call.organisation} ${call.kind === 'embedding'} ${call.prompt}`
    if (call.cache === 'hit' && !asked.has(question)) found.push(`${question}: a hit for the first who asked`)
    asked.add(question)
  }
  return found
}

/**
 * In any minute the limit; and once more for each time that Redis lost what it had, or each gateway counted its own
 * share because Redis was away.
 */
function beyondLimit({ calls, faults, gateways, requestsPerMinute }: History): string[] {
  const admitted = calls
    .filter(
      ({ organisation, status, kind }) => organisation === 'limited' && status === 200 && kind !== 'bad',
    )
    .map(({ endedAt }) => endedAt)
    .sort((one, other) => one - other)
  const found: string[] = []
  admitted.forEach((from, index) => {
    const until = from + 60_000
    const count = admitted.slice(index).filter((at) => at < until).length
    const disturbances =
      faults.filter(({ at }) => at > from - 60_000 && at < until).length +
      gateways.flatMap(({ absences }) => absences).filter((one) => one.from < until && one.to > from - 60_000)
        .length
    const bound = requestsPerMinute * (1 + disturbances)
    if (count > bound) found.push(`limit: ${count} in a minute, ${bound} with ${disturbances} faults`)
  })
  return found.slice(0, 1)
}

/** Exactly the capacity while Redis is there; each gateway may fill what was free when it goes. */
function beyondCapacity({ most, capacity, gateways }: History): string[] {
  return most
    .filter((count) => count > capacity * gateways.length)
    .map((count) => `capacity: ${count} at once on a decoder of ${capacity}`)
}

function whatWasSaid({ name, said }: Member): string[] {
  return said
    .split('\n')
    .filter((line) => line.trim() !== '' && !expectedWarnings.test(line))
    .map((line) => `${name} said: ${line.slice(0, 200)}`)
}

/** KiB a minute, by regression over the second half, when caches are warm. */
export function slopeOf(samples: readonly { readonly s: number; readonly kib: number }[]): number {
  const late = samples.slice(Math.floor(samples.length / 2))
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [s, kib] = [mean(late.map((one) => one.s)), mean(late.map((one) => one.kib))]
  const over = late.reduce((sum, one) => sum + (one.s - s) * (one.kib - kib), 0)
  const under = late.reduce((sum, one) => sum + (one.s - s) ** 2, 0)
  return (60 * over) / under
}
