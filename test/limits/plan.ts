/** The kinds of limit, by name, so that a child process can be told one. */
export type Kind = 'window-exact' | 'window-slotted' | 'token-bucket' | 'fixed-window' | 'concurrency'

export const kinds: readonly Kind[] = [
  'window-exact',
  'window-slotted',
  'token-bucket',
  'fixed-window',
  'concurrency',
]

export const contenders = ['evenkeel', 'evenkeel leased', 'rate-limiter-flexible'] as const
export type Contender = (typeof contenders)[number]

/** Numbers of each kind: small windows, so that a run sees many of them. */
export const parameters: Readonly<Record<Kind, { readonly limit: number; readonly windowMs: number }>> = {
  'window-exact': { limit: 120, windowMs: 500 },
  'window-slotted': { limit: 400, windowMs: 500 },
  'token-bucket': { limit: 200, windowMs: 500 },
  'fixed-window': { limit: 300, windowMs: 500 },
  concurrency: { limit: 6, windowMs: 1_000 },
}

/** What rate-limiter-flexible has: fixed windows of whole seconds. */
export const peerWindowMs = 1_000

export function isPossible(contender: Contender, kind: Kind): boolean {
  if (contender === 'rate-limiter-flexible') return kind === 'fixed-window' || kind === 'window-slotted'
  return contender === 'evenkeel' || kind !== 'concurrency'
}

export function windowOf(contender: Contender, kind: Kind): number {
  return contender === 'rate-limiter-flexible' ? peerWindowMs : parameters[kind].windowMs
}

/** One child's part of a run. */
export interface Task {
  readonly contender: Contender
  readonly kind: Kind
  readonly url: string
  readonly processes: number
  readonly clients: number
}

/** Told to all children at once, when each has said that it is ready. */
export interface Beginning {
  readonly startMs: number
  readonly untilMs: number
}

/**
 * A call that was admitted at some moment between `sentMs` and `answeredMs`, on the machine's monotonic clock, which
 * all processes share. The `wall…` fields are the same moments on the clock that servers read.
 */
export interface Admission {
  readonly sentMs: number
  readonly answeredMs: number
  readonly wallSentMs: number
  readonly wallAnsweredMs: number
  readonly cost: number
  readonly source: 'redis' | 'memory'
  /** When a slot was given back, for `concurrency`. */
  readonly releasedMs?: number
}

export interface Outcome {
  readonly admissions: readonly Admission[]
  readonly denied: number
  readonly failed: number
}

/** CLOCK_MONOTONIC, which all processes of a machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
