import TinyQueue from 'tinyqueue'
import type { Timeline } from '../timeline.js'
import { chunkMs, type EngineModel, prefillMs } from './engine-model.js'
import { PrefixCache } from './prefix-cache.js'

/** A request as a node sees it. */
export interface Job {
  readonly promptTokens: number
  readonly answerTokens: number
  /** Ids of the prompt's blocks; empty if the trace has none. */
  readonly blocks: readonly number[]
  readonly onFirstToken: () => void
  /** `answered`, or `broken` when the node died. */
  readonly onEnd: (end: 'answered' | 'broken') => void
}

interface Running {
  readonly job: Job
  /** The value of `#tokens` at which it has all of its tokens. */
  endsAt: number
  isGone: boolean
}

/** Rounding must not leave a remainder for which no time passes. */
const epsilon = 1e-6

/**
 * Continuous batching with chunked prefill (Orca, 2022; Sarathi-Serve, 2024) as a fluid model: prompts are worked on
 * one after another, answers all together, one token each per step, and a step takes longer with a chunk of a
 * prompt in it and with more context to read. Between two events all rates are constant, so nothing is
 * simulated step by step.
 */
export class Engine {
  readonly #model: EngineModel
  readonly #timeline: Timeline
  readonly #cache: PrefixCache
  readonly #queue: Job[] = []
  /** Admitted prompts; the first of them is worked on. */
  readonly #prompts: Job[] = []
  readonly #answers = new TinyQueue<Running>([], (one, other) => one.endsAt - other.endsAt)
  readonly #running = new Map<Job, Running>()
  #promptRestMs = 0
  #contextTokens = 0
  /** Tokens that an answer in progress since the beginning would have by now. */
  #tokens = 0
  #slowness = 1
  #since = 0
  #plan = 0
  /** Time with anything to do. */
  busyMs = 0
  /** The number of requests here, summed over time; divided by a run's time it is their mean. */
  requestMs = 0
  mostRunning = 0
  blocksSeen = 0
  blocksCached = 0

  constructor(model: EngineModel, timeline: Timeline) {
    this.#model = model
    this.#timeline = timeline
    this.#cache = new PrefixCache(model.cacheBlocks)
  }

  get running(): number {
    return this.#prompts.length + this.#running.size
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** From now on everything takes `times` times as long. */
  slowDown(times: number): void {
    this.#advance()
    this.#slowness = times
    this.#replan()
  }

  /** Gives whether it was taken. */
  submit(job: Job): boolean {
    if (this.running >= this.#model.maxRunning && this.waiting >= this.#model.maxQueued) return false
    this.#advance()
    this.#queue.push(job)
    this.#admit()
    this.#replan()
    return true
  }

  /** The caller has gone away. */
  abort(job: Job): void {
    this.#advance()
    const answering = this.#running.get(job)
    if (answering !== undefined) this.#leave(answering)
    else if (!remove(this.#queue, job)) {
      const wasFirst = this.#prompts[0] === job
      if (remove(this.#prompts, job) && wasFirst) this.#beginPrompt()
    }
    this.#admit()
    this.#replan()
  }

  /** All requests here break, and the cache is lost. */
  crash(): void {
    this.#advance()
    const jobs = [...this.#queue, ...this.#prompts, ...this.#running.keys()]
    for (const answering of [...this.#running.values()]) this.#leave(answering)
    this.#queue.length = 0
    this.#prompts.length = 0
    this.#cache.clear()
    this.#replan()
    for (const job of jobs) job.onEnd('broken')
  }

  get #stepMs(): number {
    const { stepMs, stepMsPerContextToken } = this.#model
    const withPrompt = this.#prompts.length > 0 ? chunkMs(this.#model) : 0
    return (stepMs + stepMsPerContextToken * this.#contextTokens + withPrompt) * this.#slowness
  }

  #advance(): void {
    const passed = this.#timeline.now - this.#since
    this.#since = this.#timeline.now
    if (passed <= 0 || this.running === 0) return
    this.busyMs += passed
    this.requestMs += passed * (this.running + this.waiting)
    const steps = passed / this.#stepMs
    this.#tokens += steps
    if (this.#prompts.length > 0) this.#promptRestMs -= steps * chunkMs(this.#model)
  }

  #admit(): void {
    while (this.running < this.#model.maxRunning) {
      const job = this.#queue.shift()
      if (job === undefined) return
      this.#prompts.push(job)
      this.mostRunning = Math.max(this.mostRunning, this.running)
      if (this.#prompts.length === 1) this.#beginPrompt()
    }
  }

  #beginPrompt(): void {
    const [job] = this.#prompts
    if (job === undefined) return
    const matched = this.#cache.match(job.blocks)
    this.blocksSeen += job.blocks.length
    this.blocksCached += matched
    // The last token is always computed: the answer's first token comes from it.
    const cached = Math.min(matched * this.#model.blockTokens, job.promptTokens - 1)
    this.#promptRestMs = prefillMs(this.#model, job.promptTokens, Math.max(0, cached))
  }

  #replan(): void {
    const plan = ++this.#plan
    if (this.running === 0) return
    const next = this.#answers.peek()
    const promptMs =
      this.#prompts.length > 0
        ? (this.#promptRestMs / chunkMs(this.#model)) * this.#stepMs
        : Number.POSITIVE_INFINITY
    const answerMs =
      next === undefined ? Number.POSITIVE_INFINITY : (next.endsAt - this.#tokens) * this.#stepMs
    this.#timeline.after(Math.max(0, Math.min(promptMs, answerMs)), () => {
      if (plan === this.#plan) this.#step()
    })
  }

  /** Something is done: a prompt, an answer or both. */
  #step(): void {
    this.#advance()
    const ended: Job[] = []
    for (let next = this.#answers.peek(); next !== undefined; next = this.#answers.peek()) {
      if (!next.isGone && next.endsAt - this.#tokens > epsilon) break
      this.#answers.pop()
      if (next.isGone) continue
      this.#leave(next)
      ended.push(next.job)
    }
    const [prompt] = this.#prompts
    const isRead = prompt !== undefined && this.#promptRestMs <= epsilon
    if (isRead) {
      this.#prompts.shift()
      this.#cache.add(prompt.blocks)
      // Its first token came with the prompt's last chunk.
      if (prompt.answerTokens <= 1) ended.push(prompt)
      else this.#answer(prompt)
      this.#beginPrompt()
    }
    this.#admit()
    this.#replan()
    if (isRead) prompt.onFirstToken()
    for (const job of ended) job.onEnd('answered')
  }

  #answer(job: Job): void {
    const answering = { job, endsAt: this.#tokens + job.answerTokens - 1, isGone: false }
    this.#running.set(job, answering)
    this.#answers.push(answering)
    this.#contextTokens += contextOf(job)
  }

  #leave(answering: Running): void {
    answering.isGone = true
    this.#running.delete(answering.job)
    this.#contextTokens = this.#running.size === 0 ? 0 : this.#contextTokens - contextOf(answering.job)
  }
}

/** Tokens of context of a request, on average while it is answered. */
function contextOf({ promptTokens, answerTokens }: Job): number {
  return promptTokens + answerTokens / 2
}

function remove<T>(list: T[], item: T): boolean {
  const at = list.indexOf(item)
  if (at >= 0) list.splice(at, 1)
  return at >= 0
}
