import { answerTo, embeddingOf, promptOf } from '../decoder/text.js'
import { asked, type Result } from './driver.js'
import type { Samples } from './metrics.js'
import { organisationOf } from './workload.js'

/** Everything that was measured, from which the table and the checks are made. */
export interface Findings {
  /** The same requests straight to the decoders, in turn. */
  readonly baseline: readonly Result[]
  /** The requests to the gateways. */
  readonly results: readonly Result[]
  /** The gateways' own counts. */
  readonly metrics: Samples
  readonly nodes: readonly string[]
  readonly gateways: number
  /** Requests that one gateway gives a decoder at once. */
  readonly slots: number
  readonly mortal: Mortal
  readonly outage: Outage | undefined
}

/** The decoder that dies half-way. */
export interface Mortal {
  readonly name: string
  readonly died: boolean
  /** Gateways that give it requests still. */
  readonly servingIn: number
}

export interface Outage {
  readonly awayMs: number
  /** From Redis accepting connections to the gateways using it again. */
  readonly returnMs: number | undefined
  /** Which requests were sent meanwhile. */
  readonly during: (result: Result) => boolean
}

export function withStatus(results: readonly Result[], status: Result['status']): readonly Result[] {
  return results.filter((result) => result.status === status)
}

/** Answers that came as a hit, or by joining a call, or by a call. */
export function answeredBy(results: readonly Result[], cache: string): readonly Result[] {
  return withStatus(results, 'answered').filter((result) => result.cache === cache)
}

/** Milliseconds; not a number where nothing was answered. */
export function quantile(results: readonly Result[], q: number): number {
  const sorted = withStatus(results, 'answered')
    .map(({ ms }) => ms)
    .sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

/** Equal requests of one organisation have equal keys. */
export function keyOf({ job, before }: Result): string {
  return `${organisationOf(job.user)} ${job.kind} ${job.stream} ${job.maxTokens} ${promptOf([...before, asked(job)])}`
}

/** Whether the answer is the one that a decoder gives to all that was said. */
export function isRight({ job, before, text }: Result): boolean {
  if (job.kind === 'embedding') return text === JSON.stringify([...embeddingOf(job.prompt)])
  return text === [...answerTo(promptOf([...before, asked(job)]), job.maxTokens)].join('')
}

/** Hits at a gateway that never called a decoder for this request: another one made the entry. */
export function borrowedHits(results: readonly Result[]): readonly Result[] {
  const atServer = (result: Result) => `${result.server} ${keyOf(result)}`
  const called = new Set(results.filter(({ cache }) => cache === 'miss').map(atServer))
  return answeredBy(results, 'hit').filter((result) => !called.has(atServer(result)))
}

export function answeredTurns(results: readonly Result[]): readonly Result[] {
  return withStatus(results, 'answered').filter(({ job }) => job.turn !== undefined)
}

/**
 * Turns whose answers must build on all that was said. While Redis is away a gateway knows of a conversation
 * what went through itself: enough where conversations stay at one gateway, as in an outage of the demo.
 * Elsewhere a conversation counts up to the first turn that a gateway itself calls stale or partial.
 */
export function judgedTurns({ results, outage }: Findings): readonly Result[] {
  const turns = answeredTurns(results)
  if (outage !== undefined) return turns
  const firstDoubt = new Map<number, number>()
  for (const { job, history } of turns) {
    const { conversation, number } = job.turn ?? { conversation: -1, number: 0 }
    if (history !== 'whole')
      firstDoubt.set(conversation, Math.min(number, firstDoubt.get(conversation) ?? number))
  }
  return turns.filter(
    ({ job: { turn } }) => turn && turn.number < (firstDoubt.get(turn.conversation) ?? Infinity),
  )
}

/** A stream that its decoder cut is not lost for Redis. */
export function isLostForRedis({ status, error }: Result): boolean {
  return status === 'failed' && !/cut short/i.test(error ?? '')
}

export function decidedBy(results: readonly Result[], by: 'redis' | 'memory'): number {
  return results.filter((result) => result.decidedBy === by).length
}
