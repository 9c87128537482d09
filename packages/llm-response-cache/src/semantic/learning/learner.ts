import { randomUUID } from 'node:crypto'
import type { Clock } from '@evenkeel/core'
import { createLog } from '@evenkeel/core/kit'
import type { Candidate } from '../policy/choose.js'
import { driftLimit, driftStep } from '../policy/drift.js'
import {
  type Bound,
  firstPolicy,
  lengthOf,
  nextPolicy,
  type Policy,
  policyAfterDrift,
} from '../policy/epochs.js'
import { decodeAudits, decodePolicy, encodeAudit, encodePolicy } from './codec.js'
import type { LearningClass, LearningState, LearningStore } from './port.js'

const log = createLog('llm-response-cache:semantic')

export interface LearnerOptions {
  readonly store: LearningStore
  readonly learning: LearningClass
  readonly bound: Bound
  /** How old the copy of the policy may become before it is read again. */
  readonly refreshMs: number
  readonly clock: Clock
}

/**
 * The policy that all instances learn together. It is read in the background, so that only the first look-up waits
 * for it. While the store fails, the last policy stays in use and nothing is learned.
 */
export class Learner {
  readonly #options: LearnerOptions
  #policy = firstPolicy
  #counted = 0
  #drifts = 0
  #readAt: number | undefined
  #reading: Promise<void> | undefined

  constructor(options: LearnerOptions) {
    this.#options = options
  }

  /** The policy as it was last read. */
  get policy(): Policy {
    return this.#policy
  }

  /** Audits that the present epoch has, and that it needs. */
  get progress(): { readonly audits: number; readonly of: number } {
    return { audits: this.#counted, of: lengthOf(this.#policy.epoch, this.#options.bound) }
  }

  /** How often this process ended an epoch because of a drift. */
  get drifts(): number {
    return this.#drifts
  }

  /** Never rejects. Waits for one round trip at the first call, and for none later. */
  async current(): Promise<Policy> {
    const { clock, refreshMs } = this.#options
    const isStale = this.#readAt === undefined || clock.monotonic() - this.#readAt >= refreshMs
    if (isStale) {
      const reading = this.#read()
      if (this.#readAt === undefined) await reading
    }
    return this.#policy
  }

  /** Records the result of an audit of the epoch's candidate. Never rejects. */
  async candidateAudited(candidate: Candidate, right: boolean, epoch: number): Promise<void> {
    const { score, features } = candidate
    await this.#record(epoch, encodeAudit({ score, features, right }), undefined)
  }

  /** Records whether what would have been served was right. Never rejects. */
  async servedAudited(right: boolean, epoch: number): Promise<void> {
    const step = driftStep(right, this.#options.bound.maxErrorRate)
    await this.#record(epoch, '', { step, limit: driftLimit })
  }

  async #record(
    epoch: number,
    line: string,
    drift: { step: number; limit: number } | undefined,
  ): Promise<void> {
    const { store, learning, bound } = this.#options
    try {
      const state = await store.record(learning, { id: randomUUID(), epoch, line, drift })
      this.#heard(state)
      if (state.drifted) {
        if (await this.#end(policyAfterDrift(this.#policy))) {
          this.#drifts++
          log('wrong answers have become more frequent: nothing is served until it is proved anew')
        }
      } else if (state.counted >= lengthOf(state.epoch, bound)) {
        const audits = decodeAudits(await store.audits(learning))
        await this.#end(nextPolicy(this.#policy, audits, bound))
      }
    } catch (error) {
      log('an audit could not be recorded: %s', error)
    }
  }

  /** The first instance decides; all others take its decision. */
  async #end(next: Policy): Promise<boolean> {
    const { store, learning } = this.#options
    const wasFirst = await store.advance(learning, next.epoch - 1, encodePolicy(next))
    this.#heard(await store.read(learning))
    return wasFirst
  }

  #read(): Promise<void> {
    const { store, learning, clock } = this.#options
    this.#reading ??= store
      .read(learning)
      .then((state) => this.#heard(state))
      .catch((error: unknown) => log('what was learned could not be read: %s', error))
      .finally(() => {
        this.#readAt = clock.monotonic()
        this.#reading = undefined
      })
    return this.#reading
  }

  #heard({ epoch, policy, counted, drifted }: LearningState): void {
    this.#counted = counted
    const known =
      epoch === this.#policy.epoch && this.#readAt !== undefined ? this.#policy : decodePolicy(policy, epoch)
    this.#policy = drifted ? { ...known, serving: undefined } : known
  }
}
