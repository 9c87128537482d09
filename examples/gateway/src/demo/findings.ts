import { answerTo, embeddingOf, promptOf } from '../decoder/text.js'
import { asked, type Repeat, type Result } from './driver.js'
import type { Samples } from './metrics.js'
import { organisationOf } from './workload.js'

/** All measurements, from which the table and the checks are made. */
export interface Findings {
  /** The results of the same requests, sent to the decoders in turn, without a gateway. */
  readonly baseline: readonly Result[]
  /** The results of the requests to the gateways. */
  readonly results: readonly Result[]
  /** Questions that were asked twice each after all others. */
  readonly repeats: readonly Repeat[]
  /** The metrics of the gateways, before the repeats. */
  readonly metrics: Samples
  readonly nodes: readonly string[]
  readonly gateways: number
  /** How many requests one gateway gives a decoder at once. */
  readonly slots: number
  readonly mortal: Mortal
  readonly outage: Outage | undefined
}

/** The decoder that dies during the run. */
export interface Mortal {
  readonly name: string
  readonly died: boolean
  /** How many gateways still give it requests. */
  readonly servingIn: number
}

export interface Outage {
  readonly awayMs: number
  /** How long after Redis accepts connections all gateways use it again; `undefined` if they do not in 10 s. */
  readonly returnMs: number | undefined
  /** Whether the request was sent during the outage. */
  readonly during: (result: Result) => boolean
}

export function withStatus(results: readonly Result[], status: Result['status']): readonly Result[] {
  return results.filter((result) => result.status === status)
}

/** The answered requests with this outcome of the cache: a hit, a joined call or a call of its own. */
export function answeredBy(results: readonly Result[], cache: string): readonly Result[] {
  return withStatus(results, 'answered').filter((result) => result.cache === cache)
}

/** A quantile of the latencies in milliseconds; NaN if no request was answered. */
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

/** Whether the answer is the one that a decoder gives to the whole conversation. */
export function isRight({ job, before, text }: Result): boolean {
  if (job.kind === 'embedding') return text === JSON.stringify([...embeddingOf(job.prompt)])
  return text === [...answerTo(promptOf([...before, asked(job)]), job.maxTokens)].join('')
}

/** Hits at a gateway that never called a decoder for this request, so that another gateway made the entry. */
export function borrowedHits(results: readonly Result[]): readonly Result[] {
  const atServer = (result: Result) => `${result.server} ${keyOf(result)}`
  const called = new Set(results.filter(({ cache }) => cache === 'miss').map(atServer))
  return answeredBy(results, 'hit').filter((result) => !called.has(atServer(result)))
}

export function answeredTurns(results: readonly Result[]): readonly Result[] {
  return withStatus(results, 'answered').filter(({ job }) => job.turn !== undefined)
}

/**
 * The turns whose answers must build on the whole conversation. While Redis is down, a gateway knows only the turns
 * that went through itself. In the demo with an outage, conversations stay at one gateway, so every turn counts.
 * Otherwise a conversation counts up to the first turn whose history the gateway reports as stale or partial.
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

/** Whether the outage of Redis may have made the request fail: it failed, but not because a decoder cut its stream. */
export function isLostForRedis({ status, error }: Result): boolean {
  return status === 'failed' && !/cut short/i.test(error ?? '')
}

export function decidedBy(results: readonly Result[], by: 'redis' | 'memory'): number {
  return results.filter((result) => result.decidedBy === by).length
}
