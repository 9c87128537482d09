import { type Duration, durationMs, InvalidInputError } from '@evenkeel/core'
import type { Wanted } from './choosing/wanted.js'
import type { NodeLease } from './dispatch.js'
import type { DecoderNode } from './node.js'

/** A node's refusal for the moment: no fault of its own, and nothing was begun. */
export class PushBackError extends Error {
  override readonly name = 'PushBackError'
}

export interface RunOptions extends Wanted {
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
  /** Whether a failure is the node's own fault. @default all but aborts and {@link PushBackError} */
  readonly isFault?: ((error: unknown) => boolean) | undefined
  /** Whether a failure shows that nothing was begun. @default refused connections and {@link PushBackError} */
  readonly isSafe?: ((error: unknown) => boolean) | undefined
}

interface ResolvedRun {
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly idempotent: boolean
  readonly attempts: number
  readonly hedgeMs: number | undefined
  readonly isFault: (error: unknown) => boolean
  readonly isSafe: (error: unknown) => boolean
}

export type Acquire = (
  wanted: Wanted,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  except: ReadonlySet<string>,
) => Promise<NodeLease>

/** What retries and hedges may add: a fifth of the requests, and a few for who sends few. */
const budgetShare = 0.2
const budgetFloor = 3
const budgetMost = 100

/**
 * A budget of retries (as Finagle's and Envoy's): each request earns a part of one, each retry spends one, so
 * that a pool that fails is not given a multiple of its load on top.
 */
export class RetryBudget {
  #balance = budgetFloor

  earn(): void {
    this.#balance = Math.min(budgetMost, this.#balance + budgetShare)
  }

  spend(): boolean {
    if (this.#balance < 1) return false
    this.#balance--
    return true
  }
}

/** One request on the pool: a node is chosen, called and told of, and what may be tried elsewhere is. */
export async function runOnPool<T>(
  acquire: Acquire,
  budget: RetryBudget,
  call: (node: DecoderNode, signal: AbortSignal) => Promise<T>,
  options: RunOptions,
): Promise<T> {
  const run = resolveRun(options)
  budget.earn()
  const tried = new Set<string>()
  const attempt = async (): Promise<T> => {
    const lease = await acquire(options, run.timeoutMs, run.signal, tried)
    tried.add(lease.node.id)
    return tryOn(lease, call, run)
  }
  for (let attempts = 1; ; attempts++) {
    try {
      return run.hedgeMs === undefined ? await attempt() : await hedged(attempt, run.hedgeMs, budget)
    } catch (error) {
      const mayRepeat = run.idempotent ? run.isFault(error) || run.isSafe(error) : run.isSafe(error)
      if (!mayRepeat || attempts >= run.attempts || run.signal?.aborted || !budget.spend()) throw error
    }
  }
}

async function tryOn<T>(
  lease: NodeLease,
  call: (node: DecoderNode, signal: AbortSignal) => Promise<T>,
  { signal, isFault }: ResolvedRun,
): Promise<T> {
  const own = new AbortController()
  const both = signal === undefined ? own.signal : AbortSignal.any([signal, own.signal])
  try {
    both.throwIfAborted()
    const answer = await call(lease.node, both)
    lease.release({ ok: true })
    return answer
  } catch (error) {
    lease.release({ ok: both.aborted || !isFault(error), error })
    throw error
  }
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
  return Promise.any([first, second]).catch(async () => {
    second.catch(() => {})
    return first
  })
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
    isFault: options.isFault ?? isFault,
    isSafe: options.isSafe ?? isSafe,
  }
}

function isFault(error: unknown): boolean {
  return !(error instanceof PushBackError) && !(error instanceof Error && error.name === 'AbortError')
}

/** Refused before a byte was sent; `fetch` hides that in the cause of its TypeError. */
function isSafe(error: unknown): boolean {
  if (error instanceof PushBackError) return true
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return (
    typeof code === 'string' &&
    ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT'].includes(code)
  )
}
