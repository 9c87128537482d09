import type { Admission, Kind } from './plan.js'

export interface Span {
  readonly fromMs: number
  readonly toMs: number
}

export interface LimitResult {
  /** The most that was certainly admitted in any window away from outages and memory's decisions, per limit. */
  readonly steady: number
  /** The same over all windows, including those that an outage touches. */
  readonly anywhere: number
  /** What was admitted, divided by the most that an exact log could have admitted. `NaN` for `concurrency`. */
  readonly utilisation: number
  /** Admissions by memory while Redis was up for the others: a process was cut off. */
  readonly strays: number
}

/** An outage counts for this much longer: callers notice that Redis is back only after a while. */
export const settleMs = 2_500

/** The server's clock counts whole milliseconds, so a window may be one shorter on a finer clock. */
const grainMs = 1

export function judge(
  admissions: readonly Admission[],
  kind: Kind,
  limit: number,
  windowMs: number,
  outages: readonly Span[],
  run: Span,
): LimitResult {
  const most = kind === 'concurrency' ? mostHeld : kind === 'fixed-window' ? mostInFixed : mostInRolling
  // A bucket gives its capacity and what refills in the span.
  const allowed = kind === 'token-bucket' ? limit + (limit * (windowMs + grainMs)) / windowMs : limit
  // A process that the machine kept from running for long is cut off as well, so its window is not steady.
  const byMemory = admissions.filter(({ source }) => source === 'memory')
  const strays = byMemory.filter(
    ({ sentMs }) => !outages.some((outage) => sentMs >= outage.fromMs && sentMs < outage.toMs),
  )
  const apart = [...outages, ...strays.map(({ sentMs }) => ({ fromMs: sentMs, toMs: sentMs + settleMs }))]
  const isSteady = (fromMs: number, toMs: number) =>
    apart.every((outage) => toMs <= outage.fromMs || fromMs >= outage.toMs + windowMs)
  const units = admissions.reduce((sum, { cost }) => sum + cost, 0)
  const best = limit * (1 + (run.toMs - run.fromMs) / windowMs)
  return {
    steady: most(admissions, windowMs, isSteady) / allowed,
    strays: strays.length,
    anywhere: most(admissions, windowMs, () => true) / allowed,
    utilisation: kind === 'concurrency' ? Number.NaN : units / best,
  }
}

type Within = (fromMs: number, toMs: number) => boolean

/** Counts what was admitted inside a window for certain: sent after it began, and answered before it ended. */
function mostInRolling(admissions: readonly Admission[], windowMs: number, counts: Within): number {
  const bySent = [...admissions].sort((one, other) => one.sentMs - other.sentMs)
  let most = 0
  for (let first = 0; first < bySent.length; first++) {
    const fromMs = bySent[first]?.sentMs ?? 0
    const toMs = fromMs + windowMs - grainMs
    if (!counts(fromMs, toMs)) continue
    let units = 0
    for (let index = first; index < bySent.length; index++) {
      const admission = bySent[index]
      if (admission === undefined || admission.sentMs > toMs) break
      if (admission.answeredMs <= toMs) units += admission.cost
    }
    most = Math.max(most, units)
  }
  return most
}

/** Windows of the server's clock; only what was certainly in one counts. */
function mostInFixed(admissions: readonly Admission[], windowMs: number, counts: Within): number {
  const windows = new Map<number, number>()
  for (const { wallSentMs, wallAnsweredMs, sentMs, cost } of admissions) {
    const start = wallSentMs - (wallSentMs % windowMs)
    if (wallAnsweredMs >= start + windowMs) continue
    const fromMs = sentMs - (wallSentMs - start)
    if (counts(fromMs, fromMs + windowMs)) windows.set(start, (windows.get(start) ?? 0) + cost)
  }
  return Math.max(0, ...windows.values())
}

/** Slots that were certainly held at once: from the answer until before the release was sent. */
function mostHeld(admissions: readonly Admission[], _windowMs: number, counts: Within): number {
  const edges = admissions.flatMap(({ answeredMs, releasedMs = answeredMs, cost }) =>
    counts(answeredMs, releasedMs)
      ? [
          { atMs: answeredMs, change: cost },
          { atMs: releasedMs, change: -cost },
        ]
      : [],
  )
  // Of two at the same moment the release comes first.
  edges.sort((one, other) => one.atMs - other.atMs || one.change - other.change)
  let held = 0
  let most = 0
  for (const { change } of edges) {
    held += change
    most = Math.max(most, held)
  }
  return most
}
