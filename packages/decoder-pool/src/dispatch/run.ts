import { type Clock, type Duration, durationMs, InvalidInputError } from '@evenkeel/core'
import type { ExperimentUnit, NodeRequirements } from '../balancing/requirements.js'
import { NoNodeError } from '../errors.js'
import type { DecoderNode } from '../nodes/node.js'
import type { NodeLease } from './dispatcher.js'
import { type BodyEnd, drop, heldWhileRead, isResponse } from './held-answer.js'
import {
  defaultPushBackMs,
  type Judged,
  judgeAbort,
  judgeAnswer,
  judgeError,
  type Outcome,
} from './outcome.js'
import type { RetryBudget } from './retry-budget.js'

/** A node's refusal for the moment: no fault of its own, and nothing was begun. It gets nothing new for `retryAfter`. */
export class PushBackError extends Error {
  override readonly name = 'PushBackError'
  readonly retryAfterMs: number

  /** @param options.retryAfter @default '100ms', at most 5 minutes */
  constructor(message?: string, options: ErrorOptions & { readonly retryAfter?: Duration | undefined } = {}) {
    super(message, options)
    this.retryAfterMs = durationMs('retryAfter', options.retryAfter ?? defaultPushBackMs)
  }
}

export interface RunOptions extends NodeRequirements, ExperimentUnit {
  /** How long to wait for a free place. @default 0, not at all */
  readonly timeout?: Duration | undefined
  readonly signal?: AbortSignal | undefined
  /**
   * The request may be made twice: then a failure that may have begun its work is tried elsewhere too. Without
   * it only what certainly did not begin is (`isSafe`). @default false
   */
  readonly idempotent?: boolean | undefined
  /** Nodes that are tried, the first included. @default 3 */
  readonly attempts?: number | undefined
  /** Asks a second node when the first has not answered for so long, and takes whoever is first. Needs `idempotent`. @default never */
  readonly hedgeAfter?: Duration | undefined
  /** Whether an error that is no push-back is the node's own fault. @default all but aborts and HTTP's 4xx */
  readonly isFault?: ((error: unknown) => boolean) | undefined
  /** Whether an error shows that nothing was begun. @default refused connections and push-backs */
  readonly isSafe?: ((error: unknown) => boolean) | undefined
}

interface ResolvedRun {
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly idempotent: boolean
  readonly attempts: number
  readonly hedgeMs: number | undefined
  readonly isFault: ((error: unknown) => boolean) | undefined
  readonly isSafe: (error: unknown) => boolean
}

/** An answer that says that the node failed or refused: the caller's, should no other node do better. */
class BadAnswer extends Error {
  readonly value: unknown
  readonly judged: Judged

  constructor(value: unknown, judged: Judged) {
    super('the node answered that it can not')
    this.value = value
    this.judged = judged
  }
}

export type Acquire = (
  wanted: NodeRequirements,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  except: ReadonlySet<string>,
) => Promise<NodeLease>

export interface RunHost {
  readonly acquire: Acquire
  readonly budget: RetryBudget
  readonly clock: Clock
}

/** One request on the pool: a node is chosen, called and told of, and what may be tried elsewhere is. */
export async function runOnPool<T>(
  host: RunHost,
  call: (node: DecoderNode, signal: AbortSignal) => Promise<T>,
  options: RunOptions,
): Promise<T> {
  const { acquire, budget, clock } = host
  const run = resolveRun(options)
  budget.earn()
  const tried = new Set<string>()
  const startedAt = clock.monotonic()
  let former: unknown
  const attempt = async (): Promise<T> => {
    const lease = await acquire(options, run.timeoutMs, run.signal, tried)
    tried.add(lease.node.id)
    if (former instanceof BadAnswer) drop(former.value)
    return tryOn(lease, call, run, clock, startedAt).catch((error: unknown) => {
      // It may be asked again when its time is over, should nobody else have room by then.
      if (judge(error, run.isFault, clock).kind === 'push-back') tried.delete(lease.node.id)
      throw error
    })
  }
  for (let attempts = 1; ; attempts++) {
    try {
      return run.hedgeMs === undefined ? await attempt() : await hedged(attempt, run.hedgeMs, budget)
    } catch (caught) {
      // That nobody else can is no news to the caller: what the last one said is.
      const error = caught instanceof NoNodeError && former !== undefined ? former : caught
      const mayRepeat = error !== former && isRepeatable(error, run, clock) && !run.signal?.aborted
      if (mayRepeat && attempts < run.attempts && budget.spend()) former = error
      else if (error instanceof BadAnswer) return error.value as T
      else throw error
    }
  }
}

async function tryOn<T>(
  lease: NodeLease,
  call: (node: DecoderNode, signal: AbortSignal) => Promise<T>,
  { signal, isFault }: ResolvedRun,
  clock: Clock,
  startedAt: number,
): Promise<T> {
  const own = new AbortController()
  const both = signal === undefined ? own.signal : AbortSignal.any([signal, own.signal])
  const givenAt = clock.monotonic()
  try {
    both.throwIfAborted()
    const value = await call(lease.node, both)
    const judged = judgeAnswer(value, clock.now())
    if (judged.kind === 'fault' || judged.kind === 'push-back') throw new BadAnswer(value, judged)
    if (judged.kind === 'good' && isResponse(value)) {
      const latencyMs = clock.monotonic() - givenAt
      return heldWhileRead(value, (end) => lease.release(outcomeOf(end, both, latencyMs))) as T
    }
    lease.release(judged.kind === 'good' ? { ok: true } : { ok: true, error: value })
    return value
  } catch (error) {
    const judged = both.aborted
      ? judgeAbort(both.reason, { startedAt, givenAt, now: clock.monotonic() })
      : judge(error, isFault, clock)
    lease.release({
      ok: judged.kind !== 'fault',
      error,
      ...(judged.kind === 'push-back' && { retryAfterMs: judged.retryAfterMs }),
    })
    throw error
  }
}

/** A body that breaks off is the node's fault, unless it was the caller who broke it off. */
function outcomeOf(end: BodyEnd, { aborted }: AbortSignal, latencyMs: number): Outcome {
  if (end.kind !== 'broken') return { ok: true, latencyMs }
  return { ok: aborted, error: end.error }
}

function judge(error: unknown, isFault: ResolvedRun['isFault'], clock: Clock): Judged {
  if (error instanceof BadAnswer) return error.judged
  if (error instanceof PushBackError) return { kind: 'push-back', retryAfterMs: error.retryAfterMs }
  const judged = judgeError(error, clock.now())
  if (judged.kind === 'push-back' || isFault === undefined) return judged
  return { kind: isFault(error) ? 'fault' : 'blameless' }
}

function isRepeatable(error: unknown, { idempotent, isFault, isSafe }: ResolvedRun, clock: Clock): boolean {
  if (error instanceof NoNodeError) return false
  const { kind } = judge(error, isFault, clock)
  return kind === 'push-back' || (idempotent && kind === 'fault') || isSafe(error)
}

/** Two at most, and the first answer; the other goes on for nobody, and its outcome still counts. */
async function hedged<T>(attempt: () => Promise<T>, afterMs: number, budget: RetryBudget): Promise<T> {
  const first = attempt()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), afterMs)
  })
  const answer = await Promise.race([first.then((value) => ({ value })), late]).finally(() =>
    clearTimeout(timer),
  )
  if (answer !== 'late') return answer.value
  if (!budget.spend()) return first
  // A hedge that finds no other node is no failure of the request.
  const second = attempt()
  try {
    const won = await Promise.any([first, second])
    for (const one of [first, second]) one.then((value) => value !== won && drop(value)).catch(() => {})
    return won
  } catch {
    return first
  }
}

function resolveRun(options: RunOptions): ResolvedRun {
  const { timeout = 0, idempotent = false, attempts = 3, hedgeAfter } = options
  if (!Number.isSafeInteger(attempts) || attempts < 1 || attempts > 10) {
    throw new InvalidInputError('attempts', 'a whole number from 1 to 10', attempts)
  }
  if (hedgeAfter !== undefined && !idempotent) {
    throw new InvalidInputError('hedgeAfter', '`idempotent: true` beside it', hedgeAfter)
  }
  return {
    timeoutMs: durationMs('timeout', timeout),
    signal: options.signal,
    idempotent,
    attempts,
    hedgeMs: hedgeAfter === undefined ? undefined : durationMs('hedgeAfter', hedgeAfter, { minMs: 1 }),
    isFault: options.isFault,
    isSafe: options.isSafe ?? isRefused,
  }
}

/** Refused before a byte was sent; `fetch` hides that in the cause of its TypeError. */
function isRefused(error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return (
    typeof code === 'string' &&
    ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'].includes(code)
  )
}
