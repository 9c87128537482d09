import {
  borrowedHits,
  decidedBy,
  type Findings,
  isLostForRedis,
  isRight,
  judgedTurns,
  keyOf,
  quantile,
  withStatus,
} from './findings.js'
import { formatMs } from './format.js'
import { sum } from './metrics.js'
import { greedyUser, requestsPerMinute, stranger } from './workload.js'

export interface Check {
  readonly promise: string
  readonly held: boolean
  readonly measured: string
}

/** The demo's promises, each checked against what was measured. */
export function checksOf(findings: Findings): readonly Check[] {
  return [
    onlyTheDyingDecoderFails(findings),
    answersAreRight(findings),
    limitHolds(findings),
    othersAreAdmitted(findings),
    equalRequestsShareACall(findings),
    hitsAreSooner(findings),
    organisationsAreApart(findings),
    conversationsAreWhole(findings),
    ...(findings.mortal.died ? [deadDecoderIsLeft(findings)] : []),
    ...(findings.gateways > 1 ? [entriesAreShared(findings), limitIsShared(findings)] : []),
    ...(findings.outage === undefined ? [] : outageBreaksNobody(findings, findings.outage)),
  ]
}

function onlyTheDyingDecoderFails({ results, metrics, mortal, gateways, slots }: Findings): Check {
  const failed = withStatus(results, 'failed')
  // All requests that share a call fail with it, at the other gateway too.
  const calls = new Set(failed.map(keyOf)).size
  const lost = sum(metrics, 'gateway_upstream_calls_total', { node: mortal.name, outcome: 'failed' })
  return {
    promise: 'every request is answered, but for streams that the dying decoder held',
    held: calls <= Math.min(lost, slots * gateways),
    measured: `${failed.length} failed in ${calls} streams; it broke off ${lost} calls`,
  }
}

function answersAreRight({ results }: Findings): Check {
  const answered = withStatus(results, 'answered').filter(({ job }) => job.turn === undefined)
  const wrong = answered.filter((result) => !isRight(result)).length
  return {
    promise: 'every answer is the one that the decoders give',
    held: wrong === 0 && answered.length > 0,
    measured: `${wrong} of ${answered.length} differ`,
  }
}

function limitHolds({ results, gateways }: Findings): Check {
  const greedy = results.filter(({ job }) => job.user === greedyUser)
  const admitted = greedy.length - withStatus(greedy, 'refused').length
  // If memory decided, because of an outage or one late reply, each gateway may also admit its share of the limit.
  const shares = gateways > 1 && decidedBy(greedy, 'memory') > 0 ? requestsPerMinute : 0
  return {
    promise: 'the greedy user gets no more than the limit',
    held: admitted <= requestsPerMinute + shares && admitted < greedy.length,
    measured: `${admitted} of ${greedy.length}, limit ${requestsPerMinute}${shares > 0 ? `, shares in an outage ${shares}` : ''}`,
  }
}

function othersAreAdmitted({ results }: Findings): Check {
  const others = results.filter(({ job }) => job.user !== greedyUser)
  const refused = withStatus(others, 'refused').length
  return {
    promise: 'nobody else is refused',
    held: refused === 0,
    measured: `${refused} of ${others.length}`,
  }
}

function equalRequestsShareACall({ results, metrics, outage }: Findings): Check {
  const calls = sum(metrics, 'gateway_upstream_calls_total')
  const again = sum(metrics, 'gateway_upstream_calls_total', { outcome: 'failed' })
  const admitted = results.filter(({ status }) => status !== 'refused')
  const different = new Set(admitted.map(keyOf)).size
  // Equal requests at two gateways at once are two calls, and in an outage the gateways' caches are separate.
  const parted = new Set(admitted.map((result) => `${result.server} ${keyOf(result)}`)).size
  const bound = parted + (outage === undefined ? 0 : repeated(admitted)) + again
  return {
    promise: 'equal requests share one call',
    held: calls <= bound && calls > 0,
    measured: `${calls} calls for ${admitted.length} requests, ${different} of them different`,
  }
}

/** The number of requests that came more than once. After an outage a gateway may call a decoder for them again. */
function repeated(results: Findings['results']): number {
  const seen = new Map<string, number>()
  for (const result of results) seen.set(keyOf(result), (seen.get(keyOf(result)) ?? 0) + 1)
  return [...seen.values()].filter((count) => count > 1).length
}

/** Judged when nobody else asks: among many requests at once, most of the time is spent waiting for the processor. */
function hitsAreSooner({ repeats }: Findings): Check {
  const pairs = repeats.filter(({ first, second }) => first.cache === 'miss' && second.cache !== 'miss')
  const [calls, hits] = [pairs.map(({ first }) => first), pairs.map(({ second }) => second)]
  const [call, hit] = [quantile(calls, 0.5), quantile(hits, 0.5)]
  return {
    promise: 'an answer from the cache comes sooner than a call',
    held: hit < call,
    measured: `${formatMs(hit)} against ${formatMs(call)}, medians of ${pairs.length} questions asked twice`,
  }
}

function organisationsAreApart({ results }: Findings): Check {
  const theirs = results.filter(({ job }) => job.user === stranger)
  const given = theirs.filter(({ cache }) => cache !== 'miss').length
  return {
    promise: "no organisation is given another one's answers",
    held: given === 0 && theirs.length > 0,
    measured: `${given} of ${theirs.length} that were asked before by others`,
  }
}

function conversationsAreWhole(findings: Findings): Check {
  const turns = judgedTurns(findings)
  const right = turns.filter(isRight).length
  return {
    promise: 'each turn of a conversation builds on all that was said',
    held: right === turns.length && turns.length > 0,
    measured: `${right} of ${turns.length}`,
  }
}

function deadDecoderIsLeft({ mortal }: Findings): Check {
  return {
    promise: 'the decoder that died is out of service',
    held: mortal.servingIn === 0,
    measured: `${mortal.servingIn} gateways use it still`,
  }
}

function entriesAreShared({ results }: Findings): Check {
  const hits = borrowedHits(results).length
  return {
    promise: 'a gateway answers with what the other one stored',
    held: hits > 0,
    measured: `${hits} hits`,
  }
}

function limitIsShared({ results }: Findings): Check {
  const byRedis = results.filter(({ job, decidedBy }) => job.user === greedyUser && decidedBy === 'redis')
  const served = new Set(withStatus(byRedis, 'answered').map(({ server }) => server)).size
  return {
    promise: 'one limit holds over both gateways',
    held: served > 1,
    measured: `${withStatus(byRedis, 'answered').length} of the greedy user's admitted by Redis, at ${served} gateways`,
  }
}

function outageBreaksNobody(
  { results }: Findings,
  outage: NonNullable<Findings['outage']>,
): readonly Check[] {
  const during = results.filter(outage.during)
  const lost = during.filter(isLostForRedis).length
  const byMemory = decidedBy(during, 'memory')
  const { returnMs } = outage
  return [
    {
      promise: 'no request failed for the outage',
      held: lost === 0 && during.length > 0,
      measured: `${lost} of ${during.length}`,
    },
    {
      promise: 'memory decided while Redis was away',
      held: byMemory > 0,
      measured: `${byMemory} decisions`,
    },
    {
      promise: 'Redis is used again soon after its return',
      // It takes some tenths of a second, and several times as long where the processor is busy.
      held: returnMs !== undefined && returnMs < 5_000,
      measured: returnMs === undefined ? 'never' : formatMs(returnMs),
    },
  ]
}
