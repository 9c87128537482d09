import { type Clock, type Duration, InvalidInputError } from '@evenkeel/core'
import { durationMs, linkSignals, onAbort, setImmediate } from '@evenkeel/core/kit'
import type { ExperimentUnit, NodeRequirements } from '../balancing/requirements.js'
import { NoNodeError } from '../errors.js'
import type { DecoderNode } from '../nodes/node.js'
import { drop } from './answer-body.js'
import { isNotSent } from './connect-errors.js'
import type { Acquire, NodeLease } from './dispatcher.js'
import { held, whole } from './held-answer.js'
import { type Judged, judgeAbort, judgeAnswer, judgeError, judgeUnavailable } from './outcome.js'
import type { RetryBudget } from './retry-budget.js'

export interface RunOptions extends NodeRequirements, ExperimentUnit {
  /** How long to wait for a free slot, in all attempts together. @default 0, not at all */
  readonly timeout?: Duration | undefined
  readonly signal?: AbortSignal | undefined
  /**
   * The request may be executed twice: it is retried on another node even if the failed node may have begun it. Without
   * it, a request is retried only if it was certainly not begun (`isSafe`). @default false
   */
  readonly idempotent?: boolean | undefined
  /** Maximum number of nodes tried, the first included. @default 3 */
  readonly attempts?: number | undefined
  /**
   * Asks a second node if the first has not answered within this time, and takes the first answer. Needs `idempotent`.
   * @default never
   */
  readonly hedgeAfter?: Duration | undefined
  /** Whether an error other than a push-back is the node's own fault. @default all but aborts and HTTP's 4xx */
  readonly isFault?: ((error: unknown) => boolean) | undefined
  /** Whether an error shows that nothing was begun. @default what failed before anything was sent, and push-backs */
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

/** An answer that reports a failure or refusal of the node. The caller gets it if no other node does better. */
class BadAnswer extends Error {
  readonly value: unknown
  readonly judged: Judged

  constructor(value: unknown, judged: Judged) {
    super('the node answered that it can not')
    this.value = value
    this.judged = judged
  }
}

export interface RunHost {
  readonly acquire: Acquire
  readonly budget: RetryBudget
  readonly clock: Clock
  /** Recent time in milliseconds until an answer's first bytes in this pool; `undefined` before the first answer. */
  typicalMs(): number | undefined
  /** A promise if the node's name has to be looked up first. @throws AddressRefusedError */
  checkAddress(node: DecoderNode): Promise<void> | undefined
  /** Other nodes served a request that this one refused as if the caller were wrong. */
  contradicted(id: string): void
}

type Call<T> = (node: DecoderNode, signal: AbortSignal) => Promise<T>

/** Runs one request: chooses a node, calls it, judges the answer, and retries on other nodes if that is safe. */
export async function runOnPool<T>(host: RunHost, call: Call<T>, options: RunOptions): Promise<T> {
  const resolved = resolveRun(options)
  host.budget.earn()
  return new Run(host, call, options, resolved).answer()
}

class Run<T> {
  readonly #host: RunHost
  readonly #call: Call<T>
  readonly #requirements: NodeRequirements
  readonly #options: ResolvedRun
  readonly #startedAt: number
  /** Nodes that are not tried again. */
  readonly #tried = new Set<string>()
  /** Nodes that pushed back: tried again only if no other node has a free slot. */
  readonly #busy = new Set<string>()
  /** Nodes that refused as if the caller were wrong. */
  readonly #refusing: string[] = []
  /** Time waited for a slot so far, in all attempts. */
  #waitedMs = 0
  /** The result of the last attempt; the caller gets it if no node does better. */
  #former: unknown

  constructor(host: RunHost, call: Call<T>, requirements: NodeRequirements, options: ResolvedRun) {
    this.#host = host
    this.#call = call
    this.#requirements = requirements
    this.#options = options
    this.#startedAt = host.clock.monotonic()
  }

  async answer(): Promise<T> {
    const { attempts, hedgeMs, signal } = this.#options
    const { budget } = this.#host
    for (let attempt = 1; ; attempt++) {
      try {
        const value =
          hedgeMs === undefined
            ? await this.#attempt()
            : await hedged((lost) => this.#attempt(lost), hedgeMs, budget)
        for (const id of this.#refusing) this.#host.contradicted(id)
        return value
      } catch (caught) {
        if (signal?.aborted) throw signal.reason
        // The caller learns more from the last node's answer than from the fact that no other node can take it.
        if (caught instanceof NoNodeError && this.#former !== undefined) return this.#last(this.#former)
        if (attempt >= attempts || !this.#mayRepeat(caught)) return this.#last(caught)
        this.#former = caught
      }
    }
  }

  #last(error: unknown): T {
    if (!(error instanceof BadAnswer)) throw error
    return held(error.value, this.#options.signal) as T
  }

  /** `lost` aborts when another attempt has answered. */
  async #attempt(lost?: AbortSignal): Promise<T> {
    const { timeoutMs, signal } = this.#options
    const { acquire, clock } = this.#host
    const askedAt = clock.monotonic()
    const waiting = lost === undefined ? undefined : linkSignals(signal, lost)
    const lease = await acquire(this.#requirements, {
      timeoutMs: Math.max(0, timeoutMs - this.#waitedMs),
      signal: waiting?.signal ?? signal,
      except: this.#tried,
      avoid: this.#busy,
      isRetry: this.#former !== undefined,
    }).finally(() => waiting?.unlink())
    this.#waitedMs += clock.monotonic() - askedAt
    const { id } = lease.node
    this.#tried.add(id)
    if (this.#former instanceof BadAnswer) drop(this.#former.value)
    try {
      return await this.#tryOn(lease, lost)
    } catch (error) {
      const { kind } = this.#judge(error)
      if (kind === 'refusal') this.#refusing.push(id)
      // The node may be asked again after its push-back, if no other node has a free slot by then.
      if (kind === 'push-back') {
        this.#tried.delete(id)
        this.#busy.add(id)
      }
      throw error
    }
  }

  /** Rejects when the caller aborts, whatever the call does; a call that continues keeps its slot. */
  #tryOn(lease: NodeLease, lost?: AbortSignal): Promise<T> {
    const { signal } = this.#options
    const link = linkSignals(signal, lost)
    const work = this.#work(lease, link.signal).finally(link.unlink)
    if (signal === undefined) return work
    return new Promise<T>((resolve, reject) => {
      // A moment later, so that a call that follows the signal has released its slot by then.
      const stop = onAbort(signal, (reason) => setImmediate(() => reject(reason)))
      work.then(resolve, reject).finally(stop)
    })
  }

  async #work(lease: NodeLease, signal: AbortSignal): Promise<T> {
    const { clock, typicalMs, checkAddress } = this.#host
    const givenAt = clock.monotonic()
    const silence = (silentMs: number) => ({
      startedAt: this.#startedAt,
      givenAt,
      now: clock.monotonic(),
      typicalMs: typicalMs(),
      silentMs,
    })
    try {
      signal.throwIfAborted()
      const checking = checkAddress(lease.node)
      if (checking !== undefined) await checking
      const value = await this.#call(lease.node, signal)
      let judged = judgeAnswer(value, clock.now())
      if (judged.kind === 'fault') judged = await judgeUnavailable(value, judged)
      if (judged.kind === 'fault' || judged.kind === 'push-back' || judged.kind === 'refusal') {
        throw new BadAnswer(value, judged)
      }
      if (judged.kind === 'blameless') {
        lease.release({ ok: true, error: value })
        return held(value, this.#options.signal)
      }
      return whole(value, { lease, clock, givenAt, silence, signal: this.#options.signal })
    } catch (error) {
      const judged = signal.aborted
        ? judgeAbort(signal.reason, silence(clock.monotonic() - givenAt))
        : this.#judge(error)
      lease.release({
        ok: judged.kind !== 'fault',
        error: error instanceof BadAnswer ? error.value : error,
        ...(judged.kind === 'push-back' && { retryAfterMs: judged.retryAfterMs }),
      })
      throw error
    }
  }

  #judge(error: unknown): Judged {
    const { isFault } = this.#options
    if (error instanceof BadAnswer) return error.judged
    const judged = judgeError(error, this.#host.clock.now())
    if (judged.kind === 'push-back' || isFault === undefined) return judged
    return { kind: isFault(error) ? 'fault' : 'blameless' }
  }

  /**
   * Whether another node may be tried: always if nothing was begun; within the budget after a refusal, to learn whether
   * other nodes refuse too; otherwise, within the budget, only after a fault of an `idempotent` request.
   */
  #mayRepeat(error: unknown): boolean {
    if (error instanceof NoNodeError) return false
    const { idempotent, isSafe } = this.#options
    const { kind } = this.#judge(error)
    if (kind === 'push-back') return true
    const cause = error instanceof BadAnswer ? error.value : error
    if (kind === 'refusal') return this.#host.budget.spend()
    if (isSafe(cause)) return true
    return idempotent && kind === 'fault' && this.#host.budget.spend()
  }
}

/**
 * Makes at most two attempts, and takes the first answer. The other attempt is aborted, which frees its slot; if its
 * node was silent for much longer than usual, it hung, and that counts against it.
 */
async function hedged<T>(
  attempt: (lost: AbortSignal) => Promise<T>,
  afterMs: number,
  budget: RetryBudget,
): Promise<T> {
  const lost = [new AbortController(), new AbortController()] as const
  const first = attempt(lost[0].signal)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), afterMs)
  })
  const answer = await Promise.race([first.then((value) => ({ value })), late]).finally(() =>
    clearTimeout(timer),
  )
  if (answer !== 'late') return answer.value
  if (!budget.spend()) return first
  // A hedge that finds no other node does not fail the request.
  const second = attempt(lost[1].signal)
  try {
    const won = await Promise.any([
      first.then((value) => ({ value, other: lost[1], others: second })),
      second.then((value) => ({ value, other: lost[0], others: first })),
    ])
    won.other.abort(new DOMException('another node has answered', 'AbortError'))
    won.others.then(drop, () => {})
    return won.value
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
    isSafe: options.isSafe ?? isNotSent,
  }
}
