import type { Member } from './fleet.js'
import { type Call, deadlineMs } from './traffic.js'

export interface Fault {
  readonly name: string
  readonly at: number
  /** When it was over. */
  readonly to: number
  /** Whether it may lose writes that Redis had acknowledged. */
  readonly losesData: boolean
}

/** What was recorded of one run. */
export interface History {
  readonly calls: readonly Call[]
  readonly gateways: readonly Member[]
  readonly decoders: readonly Member[]
  readonly faults: readonly Fault[]
  /** How long after an outage what was said in it is in Redis, even if the gateway that journaled it has died. */
  readonly settledMs: number
  readonly requestsPerMinute: number
  readonly capacity: number
  /** The most requests that each decoder did at once since its last start. */
  readonly most: readonly number[]
  /** Requests that gateways count as in flight at the end, when there are no callers. */
  readonly heldAtTheEnd: number
  /** Resident KiB of each gateway that was never away, by the second of the run. */
  readonly memory: readonly (readonly { readonly s: number; readonly kib: number }[])[]
}

/**
 * Statuses that a gateway may answer with when its decoders, its capacity or a limit are exhausted; and 408, with which
 * Node closes a socket that got no request for a minute, such as that of a caller who left while it connected. The
 * client may send a request on it at that moment.
 */
const excused = new Set([408, 429, 502, 503])
/** Warnings that a process should write when Redis is away. */
const expectedWarnings = /EVENKEEL_(?:REDIS_(?:DOWN|UP)|CONNECTION_\w+|ALERT\w*)|--trace-warnings/

/** All violations, one line each. The checker knows nothing of how a gateway works. */
export function violationsIn(history: History): readonly string[] {
  return [
    ...history.calls.flatMap((call) => violationsOf(call)),
    ...strangersAnswers(history.calls),
    ...wronglyRemembered(history),
    ...beyondLimit(history),
    ...beyondCapacity(history),
    ...growingMemory(history),
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
  else if (endedAt - sentAt > deadlineMs * triesOf(call) && !wasAway)
    found.push(`${what}: ended after ${Math.round(endedAt - sentAt)} ms`)
  if (text !== undefined && expected !== undefined && text !== expected) {
    found.push(`${what}: answered ${text.slice(0, 16)}, not ${expected.slice(0, 16)}`)
  }
  if (kind === 'bad' && status !== 400 && !wasAway && !excused.has(status))
    found.push(`${what}: a bad body got ${status} ${error ?? ''}`)
  if (kind === 'large' && status !== 413 && !wasAway && status !== 0)
    found.push(`${what}: a large body got ${status}`)
  const isFailed = error !== undefined && error !== 'left' && kind !== 'large'
  // A gateway may report by an error in the stream that it was cut short; a silent cut is a violation.
  const isExcused = wasAway || excused.has(status) || /cut short/.test(error ?? '')
  if (isFailed && !isExcused) found.push(`${what}: failed with ${status} ${error}`)
  return found
}

/** The client retries a turn twice. */
function triesOf({ kind }: Call): number {
  return kind === 'turn' ? 3 : 1
}

/**
 * A hit is another organisation's answer if no other caller of its own organisation had asked before the hit came. The
 * first caller may be answered last: a gateway that a fault held up reads what another one has stored meanwhile.
 */
function strangersAnswers(calls: readonly Call[]): string[] {
  const byQuestion = new Map<string, Call[]>()
  for (const call of calls) {
    if (call.kind === 'turn') continue
    const question = `${call.organisation} ${call.kind === 'embedding'} ${call.prompt}`
    const before = byQuestion.get(question)
    if (before === undefined) byQuestion.set(question, [call])
    else before.push(call)
  }
  return [...byQuestion].flatMap(([question, asked]) =>
    asked
      .filter((call) => call.cache === 'hit')
      .filter((hit) => !asked.some((other) => other !== hit && other.sentAt < hit.endedAt))
      .map(() => `${question}: a hit for the first who asked`),
  )
}

/**
 * The answer of a turn lists all turns that the decoder was sent. Each must have been said in this conversation, and
 * occur once. If the gateway says that the history is whole, it must contain every turn that was acknowledged before,
 * had time to reach Redis, and was not lost by a fault.
 */
function wronglyRemembered({ calls, faults, settledMs }: History): string[] {
  const found: string[] = []
  const losses = faults.filter(({ losesData }) => losesData)
  for (const turns of byConversation(calls).values()) {
    const said = new Set(turns.map(numberOf))
    const acknowledged = turns.filter(({ text }) => text !== undefined)
    for (const turn of acknowledged) {
      const what = `turn ${numberOf(turn)} of ${turn.conversation} at ${turn.gateway.name}, ${Math.round(turn.sentAt)} ms`
      const seen = turn.text?.split(',') ?? []
      if (new Set(seen).size < seen.length) found.push(`${what}: something twice in ${turn.text}`)
      if (!seen.includes(numberOf(turn))) found.push(`${what}: is not itself in ${turn.text}`)
      if (seen.some((one) => !said.has(one)))
        found.push(`${what}: something that nobody said in ${turn.text}`)
      if (turn.history !== 'whole') continue
      const due = acknowledged.filter(({ sentAt, endedAt }) => {
        if (endedAt + settledMs > turn.sentAt) return false
        return !losses.some(({ at, to }) => at <= turn.endedAt && !(to < sentAt))
      })
      const missing = due.map(numberOf).filter((one) => !seen.includes(one))
      if (missing.length > 0) found.push(`${what}: ${missing.join(' and ')} missing in ${turn.text}`)
    }
  }
  return found
}

function byConversation(calls: readonly Call[]): ReadonlyMap<string, readonly Call[]> {
  const turns = new Map<string, Call[]>()
  for (const call of calls) {
    if (call.conversation === undefined) continue
    const ofIt = turns.get(call.conversation)
    if (ofIt === undefined) turns.set(call.conversation, [call])
    else ofIt.push(call)
  }
  return turns
}

function numberOf({ prompt }: Call): string {
  return prompt.slice('turn '.length)
}

/**
 * Any minute may admit the limit, and the limit once more for each fault and each absence of a gateway: Redis may have
 * lost its counts, or each gateway may have counted its own share.
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

/** With Redis the bound is the capacity; in an outage each gateway may fill what was free. Only the sum is checked. */
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

/** KiB a minute. A gateway that leaks this much runs out of memory in a night. */
const mostGrowth = 1_024
/**
 * A shorter run proves nothing: caches fill, recent writes are kept to be written again, code is compiled, and the
 * garbage collector has no reason to hurry.
 */
const judgedFromSeconds = 1_200

function growingMemory({ memory }: History): string[] {
  return memory
    .filter((samples) => (samples.at(-1)?.s ?? 0) >= judgedFromSeconds)
    .map((samples) => Math.round(slopeOf(samples)))
    .filter((slope) => slope > mostGrowth)
    .map((slope) => `memory: a gateway grows by ${slope} KiB a minute`)
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
