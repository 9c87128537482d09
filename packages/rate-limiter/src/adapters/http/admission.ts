import { createLog, InvalidOptionError, UnavailableError } from '@evenkeel/core'
import type { Costs } from '../../costs.js'
import type { Reservation } from '../../decide/reservation.js'
import type { RateLimitDecision } from '../../decide/result.js'
import type { RateLimiter } from '../../rate-limiter.js'
import { type HeaderStyle, headerStyles, rateLimitHeaders } from './headers.js'
import { limitedProblem, type Problem, unavailableProblem } from './problem.js'
import { byIp, type RequestView } from './subjects.js'

const log = createLog('rate-limiter')
const peerAddress = byIp()

type Maybe<T> = T | Promise<T>

export interface HttpLimitOptions<Name extends string, Request> {
  readonly limiter: RateLimiter<Name>
  /**
   * Who is limited: `byIp(…)`, `byApiKey(…)`, `firstOf(…)`, or a function of the host's own, which gets the
   * framework's request too. A request for which it gives `undefined` is refused with 403, so that nobody slips
   * through unnamed.
   * @default byIp(), with what the framework says is the client's address
   */
  readonly subject?: ((view: RequestView, request: Request) => Maybe<string | undefined>) | undefined
  /** What a request costs. @default one unit of each limit; one slot of a concurrency until it ends */
  readonly costs?: Costs<Name> | ((request: Request) => Maybe<Costs<Name> | undefined>) | undefined
  /** Requests that are not limited. */
  readonly skip?: ((request: Request) => Maybe<boolean>) | undefined
  /** @default ['draft'] */
  readonly headers?: readonly HeaderStyle[] | undefined
  /**
   * What a request cost, once it has ended; `undefined` leaves the charge as it was. `status` is that of the
   * answer, `aborted` says that the client left first. Costs one round trip more.
   */
  readonly settle?:
    | ((
        request: Request,
        answer: { readonly status: number; readonly aborted: boolean },
      ) => Maybe<Costs<Name> | undefined>)
    | undefined
  /** Told of each request that was refused. */
  readonly onLimited?: ((request: Request, decision: RateLimitDecision<Name>) => void) | undefined
}

/** Whether a request may go on; what its answer says; and what is to be done when it has ended. */
export type Admission =
  | {
      readonly allowed: true
      readonly headers: Readonly<Record<string, string>>
      /** To be called when the answer has ended, once or more. */
      readonly ended: ((status: number, aborted: boolean) => Promise<void>) | undefined
      /** Aborts when a slot is lost. */
      readonly signal: AbortSignal | undefined
    }
  | {
      readonly allowed: false
      readonly status: 403 | 429 | 503
      readonly headers: Readonly<Record<string, string>>
      readonly problem: Problem | undefined
    }

/** The one piece of middleware; what stands beside it turns a framework's requests into its own. */
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

  /** `undefined` for a request that is not limited. */
  async admit(request: Request, view: RequestView): Promise<Admission | undefined> {
    const { limiter, skip, costs, subject = peerAddress, onLimited } = this.#options
    if (await skip?.(request)) return undefined
    const named = await subject(view, request)
    if (named === undefined) return { allowed: false, status: 403, headers: {}, problem: undefined }
    const cost = typeof costs === 'function' ? await costs(request) : costs
    try {
      const reservation = this.#reserves ? await limiter.reserve(named, cost) : undefined
      const decision = reservation ?? (await limiter.check(named, cost))
      const headers = rateLimitHeaders(decision, limiter.policies, this.#styles, Date.now())
      if (decision.allowed) {
        const ended = reservation && this.#ended(request, reservation)
        return { allowed: true, headers, ended, signal: reservation?.signal }
      }
      onLimited?.(request, decision)
      return { allowed: false, status: 429, headers, problem: limitedProblem(decision) }
    } catch (error) {
      if (!UnavailableError.isInstance(error)) throw error
      return { allowed: false, status: 503, headers: { 'Retry-After': '1' }, problem: unavailableProblem }
    }
  }

  /** May be called as often as a framework says that a request has ended. */
  #ended(
    request: Request,
    reservation: Reservation<Name>,
  ): (status: number, aborted: boolean) => Promise<void> {
    const { settle } = this.#options
    const finish = async (status: number, aborted: boolean) => {
      try {
        const actual = await settle?.(request, { status, aborted })
        await reservation.settle(actual ?? ({} as Costs<Name>))
      } catch (error) {
        // The answer has gone; what can still be done is to give back the slot.
        log('a request was not settled: %O', error)
        await reservation[Symbol.asyncDispose]().catch(() => {})
      }
    }
    let done: Promise<void> | undefined
    return (status, aborted) => {
      done ??= finish(status, aborted)
      return done
    }
  }
}
