import { InvalidInputError, InvalidOptionError, UnavailableError } from '@evenkeel/core'
import { createLog } from '@evenkeel/core/kit'
import type { RateLimiter } from '../../api.js'
import type { Costs } from '../../costs.js'
import type { Reservation } from '../../decide/reservation.js'
import type { RateLimitDecision } from '../../decide/result.js'
import type { AnswerEnd, AnswerLife } from './answer-life.js'
import { type HeaderStyle, headerStyles, rateLimitHeaders, retryAfterSeconds } from './headers.js'
import {
  invalidRequestProblem,
  limitedProblem,
  type Problem,
  unavailableProblem,
  unnamedProblem,
} from './problem.js'
import { byIp, type RequestView, type SubjectFunction } from './subjects.js'

const log = createLog('rate-limiter')
const peerAddress = byIp()

type Maybe<T> = T | Promise<T>

export interface HttpLimitOptions<Name extends string, Request> {
  readonly limiter: RateLimiter<Name>
  /**
   * Who is limited: `byIp(…)`, `byApiKey(…)`, `firstOf(…)`, or your own function, which also gets the framework's
   * request. If it returns `undefined`, the request is refused with 403, so that unidentified clients can't avoid the
   * limits. A subject that is empty, too long or not text is refused with 400.
   * @default byIp(), with what the framework says is the client's address
   */
  readonly subject?: SubjectFunction<Request> | undefined
  /**
   * What a request costs. If a function returns costs that can't be charged (negative, fractional, too high), the
   * request is refused with 400, since they were probably read from what the client sent.
   * @default one unit of each limit; one slot of a concurrency until the answer ends
   */
  readonly costs?: Costs<Name> | ((request: Request) => Maybe<Costs<Name> | undefined>) | undefined
  /** Returns `true` for requests that are not limited. */
  readonly skip?: ((request: Request) => Maybe<boolean>) | undefined
  /** @default ['draft'] */
  readonly headers?: readonly HeaderStyle[] | undefined
  /**
   * What a request cost, called when the answer has ended; `undefined` keeps the charge. `status` is the status of the
   * answer; `aborted` says that the client disconnected first. Takes one more round trip.
   */
  readonly settle?: ((request: Request, answer: AnswerEnd) => Maybe<Costs<Name> | undefined>) | undefined
  /** Called for each request that is refused with 429. */
  readonly onLimited?: ((request: Request, decision: RateLimitDecision<Name>) => void) | undefined
}

/** What an adapter has to do with a request. */
export type Admission =
  /** The request is not limited: it continues unchanged. */
  | { readonly outcome: 'unlimited' }
  /** The client has disconnected: nobody would read an answer, so the handler is not called. */
  | { readonly outcome: 'abandoned' }
  | { readonly outcome: 'admitted'; readonly headers: Readonly<Record<string, string>> }
  | {
      readonly outcome: 'refused'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly problem: Problem
    }

const unlimited: Admission = { outcome: 'unlimited' }
const abandoned: Admission = { outcome: 'abandoned' }

/**
 * Decides about requests of any framework. It settles what it reserved for a request when the request's
 * {@link AnswerLife} ends, so the adapters need not know about slots.
 */
export class AdmissionControl<Name extends string, Request> {
  readonly #options: HttpLimitOptions<Name, Request>
  readonly #styles: readonly HeaderStyle[]
  readonly #reserves: boolean

  constructor(options: HttpLimitOptions<Name, Request>) {
    const { limiter, headers = ['draft'], settle } = options
    if (typeof limiter?.check !== 'function')
      throw new InvalidOptionError('limiter', 'made by createRateLimiter()', limiter)
    for (const style of headers) {
      if (!headerStyles.includes(style))
        throw new InvalidOptionError('headers', `among ${headerStyles.join(', ')}`, style)
    }
    this.#options = options
    this.#styles = headers
    const kinds = Object.values<{ readonly kind: string }>(limiter.policies).map(({ kind }) => kind)
    this.#reserves = settle !== undefined || kinds.includes('concurrency')
  }

  /**
   * @param life started before this call
   * @throws what the functions in its options throw
   */
  async admit(request: Request, view: RequestView, life: AnswerLife): Promise<Admission> {
    const { skip, costs, subject = peerAddress } = this.#options
    if (await skip?.(request)) return unlimited
    const named = await subject(view, request)
    const cost = typeof costs === 'function' ? await costs(request) : costs
    if (life.isOver) return abandoned
    if (named === undefined) return refused(403, unnamedProblem)
    try {
      return await this.#decide(request, named, cost, life)
    } catch (error) {
      if (isFromClient(error)) return refused(400, invalidRequestProblem(error))
      if (!UnavailableError.isInstance(error)) throw error
      return refused(503, unavailableProblem, { 'Retry-After': '1' })
    }
  }

  async #decide(
    request: Request,
    subject: string,
    costs: Costs<Name> | undefined,
    life: AnswerLife,
  ): Promise<Admission> {
    const { limiter, onLimited } = this.#options
    const reservation = this.#reserves ? await limiter.reserve(subject, costs) : undefined
    // Before anything else, so that from here on the end of the answer settles the reservation.
    if (reservation?.allowed) life.whenOver((end) => void this.#finish(request, reservation, end))
    const decision = reservation ?? (await limiter.check(subject, costs))
    if (life.isOver) return abandoned
    const headers = rateLimitHeaders(decision, limiter.policies, this.#styles)
    if (decision.allowed) return { outcome: 'admitted', headers }
    onLimited?.(request, decision)
    return refused(429, limitedProblem(decision, retryAfterSeconds(decision, limiter.policies)), headers)
  }

  async #finish(request: Request, reservation: Reservation<Name>, end: AnswerEnd): Promise<void> {
    const { settle } = this.#options
    try {
      const actual = await settle?.(request, end)
      await reservation.settle(actual ?? ({} as Costs<Name>))
    } catch (error) {
      // The answer is already sent; the slot can still be released.
      log('a request was not settled: %O', error)
      await reservation[Symbol.asyncDispose]().catch(() => {})
    }
  }
}

function refused(
  status: number,
  problem: Problem,
  headers: Readonly<Record<string, string>> = {},
): Admission {
  return { outcome: 'refused', status, headers, problem }
}

/** Whether the subject or a cost of the request is wrong; an unknown limit is a mistake of the host. */
function isFromClient(error: unknown): error is InvalidInputError {
  return error instanceof InvalidInputError && (error.field === 'subject' || error.field.startsWith('costs.'))
}
