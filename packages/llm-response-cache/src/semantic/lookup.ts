import { randomUUID } from 'node:crypto'
import { createLog, untilAborted } from '@evenkeel/core/kit'
import { canonicalHash } from '../key/canonical.js'
import { compareQuestionFeatures } from './features/compare.js'
import { textDigest } from './features/digest.js'
import { type Digest, type QuestionFeatures, questionFeaturesOf } from './features/features.js'
import { decodeQuestionFeatures } from './features/features-codec.js'
import { type Lexicon, lexiconOf } from './features/lexicon.js'
import { defaultWordLists } from './features/word-lists.js'
import { readHitId, writeHitId } from './hit-id.js'
import type { Place } from './index/port.js'
import { SharedIndex } from './index/shared.js'
import { Learner } from './learning/learner.js'
import { MemoryLearningStore } from './learning/memory.js'
import { RedisLearningStore } from './learning/redis.js'
import type { ResolvedSemanticOptions } from './options.js'
import { type Candidate, type Compared, choose, compared, isKnownWrong } from './policy/choose.js'
import type { Policy } from './policy/epochs.js'
import { type Question, scopeOf } from './question.js'
import { type MissReason, SemanticCounter, type SemanticStats } from './stats.js'
import { unitVector } from './vector.js'

const log = createLog('llm-response-cache:semantic')

/** A stored answer to a question in other words. */
export interface SemanticHit<A> {
  readonly outcome: 'hit'
  readonly answer: A
  /** The key under which the answer is stored. */
  readonly id: string
  /** Cosine of the two questions. */
  readonly similarity: number
  /** The model's lower bound of the probability that the answer is right, from 0 to 1. */
  readonly confidence: number
  /** For `reportWrong`. */
  readonly hitId: string
}

export interface SemanticMiss<A> {
  readonly outcome: 'miss'
  readonly reason: MissReason
  /**
   * Call it with the fresh answer once that is stored under its key: the question can then be found, and if the
   * look-up was an audit, the answers are compared. Runs in the background and never fails.
   */
  learn(fresh: A, ttlMs?: number): void
  /** Returns the hit that an audit withheld, if there was one, for use if the provider fails. */
  fallback(): SemanticHit<A> | undefined
}

export type Finding<A> = SemanticHit<A> | SemanticMiss<A>

/** Increase it when the guard judges differently: a proof with one guard proves nothing about another. */
const guardVersion = 1
/** Number of neighbours that are considered. */
const width = 8
/** Maximum number of comparisons and writes in the background; beyond it a look-up teaches nothing. */
const maxPending = 256

interface Look<A> {
  readonly place: Place
  readonly vector: Float32Array
  readonly sheet: string
  readonly policy: Policy
  readonly key: string
  /** Stored answers to compare with the fresh one: the epoch's candidate, and what would have been served. */
  readonly audits: readonly {
    readonly candidate: Candidate
    readonly kept: A
    readonly isCandidate: boolean
    readonly isServed: boolean
  }[]
}

/** Looks questions up by meaning, decides, and learns from fresh answers. Its failures are misses. */
export class SemanticLookup {
  readonly #options: ResolvedSemanticOptions
  readonly #index: SharedIndex
  readonly #learner: Learner
  readonly #counter = new SemanticCounter()
  readonly #digest: Digest
  readonly #lexicon: Lexicon
  /** Digest of the application's own word lists, if any; rows made with other lists are not compared. */
  readonly #ownWords: string | undefined
  readonly #pending = new Set<Promise<void>>()

  constructor(options: ResolvedSemanticOptions) {
    this.#options = options
    this.#index = new SharedIndex(options)
    this.#digest = textDigest(options.secret)
    this.#lexicon = lexiconOf(options.words)
    this.#ownWords = wordsOf(options)
    const { redis, tenant, clock, refreshMs, maxErrorRate, confidence, judgeMissRate } = options
    this.#learner = new Learner({
      store: redis === undefined ? new MemoryLearningStore() : new RedisLearningStore(redis),
      learning: { tenant, name: rulesOf(options) },
      bound: { maxErrorRate, confidence, judgeMissRate },
      refreshMs,
      clock,
    })
  }

  /** Looks up one question. `read` returns the answer that the exact cache stores under a key. */
  async find<A>(
    question: Question,
    key: string,
    read: (id: string) => Promise<A | undefined>,
  ): Promise<Finding<A>> {
    const finding = await this.#find(question, key, read)
    // Counted here, so that a look-up that goes on after its timeout is not counted twice.
    if (finding.outcome === 'hit') this.#counter.hit()
    else this.#counter.miss(finding.reason)
    return finding
  }

  async #find<A>(
    { text, context }: Question,
    key: string,
    read: (id: string) => Promise<A | undefined>,
  ): Promise<Finding<A>> {
    const { maxTextLength, timeoutMs } = this.#options
    if (text.trim() === '' || text.length > maxTextLength) return this.#miss('not-comparable')
    const sheet = questionFeaturesOf(text, this.#digest, this.#lexicon)
    const scope = this.#scopeOf(context, sheet)
    if (scope === undefined) return this.#miss('not-comparable')
    try {
      return await untilAborted(this.#look(text, sheet, scope, key, read), AbortSignal.timeout(timeoutMs))
    } catch (error) {
      log('a look-up failed: %s', error)
      return this.#miss('failed')
    }
  }

  async #look<A>(
    text: string,
    sheet: QuestionFeatures,
    scope: string,
    key: string,
    read: (id: string) => Promise<A | undefined>,
  ): Promise<Finding<A>> {
    const { embed, model, tenant, minSimilarity, auditRate, shadow, random } = this.#options
    const [policy, vectors] = await Promise.all([this.#learner.current(), embed([text])])
    const vector = unitVector(vectors[0])
    const place: Place = { tenant, space: `${model}/${vector.length}`, scope }
    const rows = (await this.#index.nearest(place, vector, width))
      .filter(({ id }) => id !== key)
      .map((row) => compared(row, this.#compare(sheet, row.sheet), minSimilarity))
    const look = { place, vector, sheet: JSON.stringify(sheet), policy, key }

    const served = this.#servable(rows, policy)
    // Drawn in the same way for every look-up, so that the audits are a fair sample of all look-ups.
    const isAudit = random() < (policy.serving === undefined || shadow ? 1 : auditRate)
    if (served.candidate !== undefined && !isAudit) {
      const hit = await this.#open(place, text, served.candidate, read)
      if (hit.outcome === 'miss') return this.#miss(hit.reason, { ...look, audits: [] })
      return hit
    }
    if (!isAudit) return this.#miss(served.reason ?? 'gone', { ...look, audits: [] })

    const audits: Look<A>['audits'][number][] = []
    let withheld: SemanticHit<A> | undefined
    const candidate = choose(rows, policy.candidate)
    for (const one of distinct([candidate, served.candidate])) {
      const opened = await this.#open(place, text, one, read)
      if (opened.outcome === 'miss') continue
      const isServed = one.id === served.candidate?.id
      if (isServed) withheld = opened
      audits.push({ candidate: one, kept: opened.answer, isCandidate: one.id === candidate?.id, isServed })
    }
    const lost = served.reason ?? 'gone'
    const reason = withheld === undefined ? lost : shadow ? 'shadow' : 'audit'
    return this.#miss(reason, { ...look, audits }, withheld)
  }

  /** Resolves when all learning in the background is done. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending)
  }

  /** Records a wrong hit: its row is not served again for questions as far, or farther. @throws InvalidInputError */
  async reportWrong(hitId: string): Promise<void> {
    const { place, id, similarity } = readHitId(hitId, this.#options)
    this.#counter.reported()
    const observation = { id: randomUUID(), epoch: 0, features: [], similarity, right: false }
    await this.#index.observe(place, id, observation)
  }

  stats(): SemanticStats {
    const { policy, progress, drifts } = this.#learner
    const { search, state } = this.#index
    const certificate = policy.serving?.certificate
    return this.#counter.read({ certificate, epoch: policy.epoch, progress, drifts, search, state })
  }

  close(): void {
    this.#index.close()
  }

  /**
   * Name of all that must be equal. With the guard, this includes what the guard compares for equality: otherwise a
   * thousand questions with other order numbers would hide the one with the same number.
   */
  #scopeOf(context: unknown, { numbers, literals, code, script }: QuestionFeatures): string | undefined {
    const { guard, scope } = this.#options
    if (!guard) return scopeOf(context, scope)
    const own = this.#ownWords === undefined ? [] : [this.#ownWords]
    return scopeOf(context, scope, numbers, literals, code, script, ...own)
  }

  #compare(sheet: QuestionFeatures, other: string): ReturnType<typeof compareQuestionFeatures> {
    const { guard, minOverlap } = this.#options
    const decoded = decodeQuestionFeatures(other)
    if (decoded === undefined) return { objection: 'overlap', overlap: 0 }
    const comparison = compareQuestionFeatures(sheet, decoded, { minOverlap })
    return guard ? comparison : { ...comparison, objection: undefined }
  }

  /** What the proved policy would serve, or the reason why it serves nothing. */
  #servable(
    rows: readonly Compared[],
    { serving }: Policy,
  ):
    | { readonly candidate: Candidate; readonly reason?: undefined }
    | { readonly candidate?: undefined; readonly reason: MissReason } {
    const [nearest] = rows
    if (nearest === undefined) return { reason: 'no-neighbour' }
    const fine = rows.some(({ objection }) => objection === undefined)
    if (!fine) return { reason: nearest.objection ?? 'distance' }
    if (serving === undefined) return { reason: 'learning' }
    const best = choose(rows, serving.model)
    if (best === undefined || best.score < serving.certificate.threshold) return { reason: 'unsure' }
    return isKnownWrong(best) ? { reason: 'known-wrong' } : { candidate: best }
  }

  /** Reads the answer of a row, and lets the application's `verify` check it. */
  async #open<A>(
    place: Place,
    question: string,
    { id, similarity, score }: Candidate,
    read: (id: string) => Promise<A | undefined>,
  ): Promise<SemanticHit<A> | { readonly outcome: 'miss'; readonly reason: 'gone' | 'refused' }> {
    const answer = await read(id)
    if (answer === undefined) {
      // A row outlives its answer if that was cleared or evicted.
      this.#inBackground(this.#index.remove(place, id))
      return { outcome: 'miss', reason: 'gone' }
    }
    const { verify } = this.#options
    if (verify !== undefined) this.#counter.verified()
    if (verify && !(await verify({ question, answer, similarity, confidence: score }))) {
      return { outcome: 'miss', reason: 'refused' }
    }
    const hitId = writeHitId({ place, id, similarity })
    return { outcome: 'hit', answer, id, similarity, confidence: score, hitId }
  }

  #miss<A>(reason: MissReason, look?: Look<A>, withheld?: SemanticHit<A>): SemanticMiss<A> {
    return {
      outcome: 'miss',
      reason,
      learn: (fresh, ttlMs = this.#options.ttlMs) => {
        if (look !== undefined && this.#pending.size < maxPending)
          this.#inBackground(this.#learn(look, fresh, ttlMs))
      },
      fallback: () => withheld,
    }
  }

  async #learn<A>(
    { place, vector, sheet, policy, key, audits }: Look<A>,
    fresh: A,
    ttlMs: number,
  ): Promise<void> {
    for (const { candidate, kept, isCandidate, isServed } of audits) {
      const right = await this.#judge(kept, fresh)
      if (right === undefined) continue
      this.#counter.audited(right, isServed)
      const { id, features, similarity } = candidate
      await this.#index.observe(place, id, {
        id: randomUUID(),
        epoch: policy.epoch,
        features,
        similarity,
        right,
      })
      if (isServed) await this.#learner.servedAudited(right, policy.epoch)
      if (isCandidate) await this.#learner.candidateAudited(candidate, right, policy.epoch)
    }
    await this.#index.add(place, { id: key, vector, sheet }, ttlMs)
  }

  /** `undefined` if the judge fails; the audit then does not count. */
  async #judge(kept: unknown, fresh: unknown): Promise<boolean | undefined> {
    try {
      return (await this.#options.same(kept, fresh)) === true
    } catch (error) {
      this.#counter.judgeFailed()
      log('the judge failed: %s', error)
      return undefined
    }
  }

  #inBackground(work: Promise<void>): void {
    const pending: Promise<void> = work
      .catch((error: unknown) => log('something could not be learned: %s', error))
      .finally(() => this.#pending.delete(pending))
    this.#pending.add(pending)
  }
}

/** Name of all that decides which questions may hit: if any of it changes, learning starts again. */
function rulesOf(options: ResolvedSemanticOptions): string {
  const words = wordsOf(options)
  const { model, guard, minSimilarity, minOverlap, maxErrorRate, confidence, judgeMissRate, verify } = options
  const guarded = guard ? ['guard', guardVersion, minOverlap, words].filter(isTold).join(' ') : 'no guard'
  const bound = `${maxErrorRate} ${confidence} ${judgeMissRate}`
  return scopeOf([model, guarded, minSimilarity, bound, verify !== undefined]) ?? model
}

/** Digest of the word lists; `undefined` for the default ones. */
function wordsOf({ words }: ResolvedSemanticOptions): string | undefined {
  const text = JSON.stringify(words)
  return text === JSON.stringify(defaultWordLists) ? undefined : canonicalHash('words', text)
}

function isTold(part: unknown): boolean {
  return part !== undefined
}

function distinct(candidates: readonly (Candidate | undefined)[]): readonly Candidate[] {
  const found = new Map<string, Candidate>()
  for (const candidate of candidates) if (candidate !== undefined) found.set(candidate.id, candidate)
  return [...found.values()]
}
