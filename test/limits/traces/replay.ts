import type { ManualClock } from '@evenkeel/core'
import { slidingWindow } from '@evenkeel/rate-limiter'
import type { LimitStore } from '@evenkeel/rate-limiter/store'

export interface Arrival {
  readonly atMs: number
  readonly tokens: number
}

export interface Budget {
  readonly requests: number
  readonly tokens: number
}

const minuteMs = 60_000

/** Half of the most that any rolling minute of the trace holds. */
export function halfOfPeak(arrivals: readonly Arrival[]): Budget {
  let [first, requests, tokens, maxRequests, mostTokens] = [0, 0, 0, 0, 0]
  for (const { atMs, tokens: cost } of arrivals) {
    requests++
    tokens += cost
    for (let old = arrivals[first]; old !== undefined && old.atMs <= atMs - minuteMs; old = arrivals[first]) {
      requests--
      tokens -= old.tokens
      first++
    }
    maxRequests = Math.max(maxRequests, requests)
    mostTokens = Math.max(mostTokens, tokens)
  }
  return { requests: Math.ceil(maxRequests / 2), tokens: Math.ceil(mostTokens / 2) }
}

export interface Replay {
  readonly admitted: number
  /** Admitted later than they came. */
  readonly delayed: number
  readonly refused: number
  readonly admittedTokens: number
  /** Milliseconds from arrival to admission, of all admitted, sorted. */
  readonly delays: readonly number[]
  readonly minutes: readonly Minute[]
}

export interface Minute {
  readonly admitted: number
  readonly delayed: number
  readonly refused: number
}

interface Ruling {
  /** `undefined`: refused. */
  readonly delayMs: number | undefined
}

/** Replays a trace in its own time: an hour of it takes seconds. */
export async function replay(
  arrivals: readonly Arrival[],
  decide: (arrival: Arrival) => Promise<Ruling> | Ruling,
): Promise<Replay> {
  const minutes: { admitted: number; delayed: number; refused: number }[] = []
  const delays: number[] = []
  let admittedTokens = 0
  for (const arrival of arrivals) {
    const index = Math.floor(arrival.atMs / minuteMs)
    minutes[index] ??= { admitted: 0, delayed: 0, refused: 0 }
    const minute = minutes[index]
    const { delayMs } = await decide(arrival)
    if (delayMs === undefined) minute.refused++
    else {
      delays.push(delayMs)
      admittedTokens += arrival.tokens
      if (delayMs > 0) minute.delayed++
      else minute.admitted++
    }
  }
  const refused = arrivals.length - delays.length
  const delayed = delays.filter((delay) => delay > 0).length
  const all = Array.from(minutes, (minute) => minute ?? { admitted: 0, delayed: 0, refused: 0 })
  delays.sort((one, other) => one - other)
  return { admitted: delays.length, delayed, refused, admittedTokens, delays, minutes: all }
}

/** The limiter itself, on either store. */
export function byStore(
  store: LimitStore,
  clock: ManualClock,
  budget: Budget,
  maxDelayMs: number,
): (arrival: Arrival) => Promise<Ruling> {
  const startMs = clock.now()
  const requests = slidingWindow(budget.requests, minuteMs)
  const tokens = slidingWindow(budget.tokens, minuteMs)
  return async ({ atMs, tokens: cost }) => {
    clock.advance(startMs + atMs - clock.now())
    if (cost > budget.tokens) return { delayMs: undefined }
    const limitCosts = [
      { subject: 'trace', name: 'requests', limit: requests, cost: 1 },
      { subject: 'trace', name: 'tokens', limit: tokens, cost },
    ]
    const options = maxDelayMs > 0 ? ({ mode: 'book', maxDelayMs } as const) : undefined
    const [decision] = await store.decide([{ limitCosts, options }])
    const admitted = decision?.outcome === 'allowed' || decision?.outcome === 'booked'
    return { delayMs: admitted ? decision.delayMs : undefined }
  }
}

/** An exact log with unbounded memory, first come, first served: no limiter of that rule can do better. */
export function byExactLog(budget: Budget, maxDelayMs: number): (arrival: Arrival) => Ruling {
  const log: Arrival[] = []
  let last = 0
  const isFree = (atMs: number, cost: number) => {
    let [requests, tokens] = [0, 0]
    for (let index = log.length - 1; index >= 0; index--) {
      const one = log[index]
      if (one === undefined || one.atMs <= atMs - minuteMs) break
      requests++
      tokens += one.tokens
    }
    return requests < budget.requests && tokens + cost <= budget.tokens
  }
  return ({ atMs, tokens }) => {
    if (tokens > budget.tokens) return { delayMs: undefined }
    let start = Math.max(atMs, last)
    // Room comes only when something leaves the window.
    let next = log.findIndex((one) => one.atMs > start - minuteMs)
    while (!isFree(start, tokens)) {
      const leaving = log[next++]
      if (leaving === undefined) return { delayMs: undefined }
      start = Math.max(start, leaving.atMs + minuteMs)
      if (start - atMs > maxDelayMs) return { delayMs: undefined }
    }
    last = start
    log.push({ atMs: start, tokens })
    return { delayMs: start - atMs }
  }
}

/**
 * An upper bound of the requests that can be admitted without delay, even with knowledge of the future: each minute
 * admits at most its smallest requests that fit. The bound is the lowest over sixty ways to cut the trace into minutes.
 */
export function mostAdmissible(arrivals: readonly Arrival[], budget: Budget): number {
  let lowest = Number.POSITIVE_INFINITY
  for (let offset = 0; offset < minuteMs; offset += 1_000) {
    const minutes = new Map<number, number[]>()
    for (const { atMs, tokens } of arrivals) {
      const index = Math.floor((atMs + offset) / minuteMs)
      const minute = minutes.get(index)
      if (minute === undefined) minutes.set(index, [tokens])
      else minute.push(tokens)
    }
    let admitted = 0
    for (const costs of minutes.values()) {
      let room = budget.tokens
      for (const cost of costs.sort((one, other) => one - other).slice(0, budget.requests)) {
        room -= cost
        if (room < 0) break
        admitted++
      }
    }
    lowest = Math.min(lowest, admitted)
  }
  return lowest
}
