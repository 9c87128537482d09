import type { Result } from './driver.js'
import { type Samples, sum } from './metrics.js'
import { requestsPerMinute, type Workload } from './workload.js'

/** Everything that was measured, from which the table and the checks are made. */
export interface Findings {
  readonly workload: Workload
  readonly baseline: readonly Result[]
  readonly results: readonly Result[]
  readonly metrics: Samples
  readonly nodes: readonly string[]
  readonly gateways: number
  /** Requests that a decoder had under way when it died. */
  readonly dyingSlots: number
  readonly outage: Outage | undefined
}

export interface Outage {
  readonly awayMs: number
  /** From Redis accepting connections to the gateways using it again. */
  readonly returnMs: number | undefined
  /** Which requests were sent meanwhile. */
  readonly during: (result: Result) => boolean
}

export type Row = readonly [string, string]

export interface Check {
  readonly promise: string
  readonly held: boolean
  readonly measured: string
}

export function tableOf(findings: Findings): readonly Row[] {
  const { results, baseline, metrics, nodes, outage } = findings
  const answered = results.filter(({ status }) => status === 'answered')
  const failedBefore = baseline.filter(({ status }) => status === 'failed').length
  const calls = sum(metrics, 'gateway_upstream_calls_total')
  const count = (cache: string) =>
    results.filter((result) => result.cache === cache && result.status === 'answered').length
  const rows: Row[] = [
    ['requests', `${results.length}`],
    ['  admitted', `${results.filter(({ status }) => status !== 'refused').length}`],
    ['  refused by the limit (429)', `${results.filter(({ status }) => status === 'refused').length}`],
    [
      '  cut short by a dying decoder',
      `${results.length - answered.length - results.filter(({ status }) => status === 'refused').length} (${failedBefore} without evenkeel)`,
    ],
    ['answered from the cache', `${count('hit')}`],
    ['joined a call under way', `${count('coalesced')}`],
    ['calls of decoders', `${calls} (${baseline.length} without evenkeel)`],
    ['tokens saved', `${sum(metrics, 'gateway_tokens_saved').toLocaleString('en')}`],
    ['latency p50', `${ms(quantile(answered, 0.5))} (${ms(quantile(baseline, 0.5))} without evenkeel)`],
    ['latency p99', `${ms(quantile(answered, 0.99))} (${ms(quantile(baseline, 0.99))} without evenkeel)`],
  ]
  for (const node of nodes)
    rows.push([`calls of ${node}`, `${sum(metrics, 'gateway_upstream_calls_total', { node })}`])
  const decided = (by: string) => results.filter((result) => result.decidedBy === by).length
  rows.push(['limits decided by Redis / memory', `${decided('redis')} / ${decided('memory')}`])
  if (outage !== undefined) {
    const during = results.filter(outage.during)
    rows.push(
      ['Redis was away for', ms(outage.awayMs)],
      ['  requests meanwhile', `${during.length}`],
      ['  of them failed', `${during.filter(isLost).length}`],
      ['  used again after', outage.returnMs === undefined ? 'never' : ms(outage.returnMs)],
    )
  }
  return rows
}

export function checksOf(findings: Findings): readonly Check[] {
  const { workload, baseline, results, metrics, gateways, dyingSlots, outage } = findings
  const failed = results.filter(({ status }) => status === 'failed')
  const admitted = results.filter(
    ({ job, status }) => job.user === workload.greedyUser && status !== 'refused',
  ).length
  // Across the edges of an outage an instance adds its share at the most, once when it begins and once when it ends.
  const greedyBound = requestsPerMinute * (outage === undefined ? 1 : 2)
  const distinct = new Set(results.map(({ job }) => `${job.stream} ${job.maxTokens} ${job.prompt}`)).size
  const retries = sum(metrics, 'gateway_upstream_calls_total', { outcome: 'failed' }) + failed.length
  const callBound = distinct * (outage === undefined ? gateways : gateways + 1) + retries
  const calls = sum(metrics, 'gateway_upstream_calls_total')
  const answered = results.filter(({ status }) => status === 'answered')
  const expected = new Map(
    baseline.filter(({ status }) => status === 'answered').map((result) => [keyOf(result), result.text]),
  )
  const wrong = answered.filter(
    (result) => (expected.get(keyOf(result)) ?? result.text) !== result.text,
  ).length
  const checks: Check[] = [
    check(
      'every request is answered, but for those a dying decoder held',
      failed.length <= dyingSlots,
      `${failed.length} cut short, at most ${dyingSlots} were held`,
    ),
    check('every answer is the one that the decoders give', wrong === 0, `${wrong} differ`),
    check(
      `the greedy user gets no more than the limit`,
      admitted <= greedyBound,
      `${admitted} of ${workload.greedyRequests}, limit ${greedyBound}`,
    ),
    check(
      'equal requests share one call',
      calls <= callBound,
      `${calls} calls for ${distinct} different requests`,
    ),
  ]
  const hits = answered.filter(({ cache }) => cache === 'hit')
  if (hits.length > 0) {
    const [hit, call] = [quantile(hits, 0.5), quantile(baseline, 0.5)]
    checks.push(
      check(
        'an answer from the cache comes sooner than a call',
        hit < call,
        `${ms(hit)} against ${ms(call)}, medians`,
      ),
    )
  }
  if (gateways > 1) {
    const shared = results.filter(({ decidedBy }) => decidedBy === 'redis').length
    checks.push(
      check('the gateways share their limits through Redis', shared > 0, `${shared} decisions by Redis`),
    )
  }
  if (outage !== undefined) {
    const during = results.filter(outage.during)
    const memory = during.filter(({ decidedBy }) => decidedBy === 'memory').length
    const lost = during.filter(isLost).length
    checks.push(
      check(
        'no request failed for the outage',
        lost === 0 && during.length > 0,
        `${lost} of ${during.length}`,
      ),
      check('memory decided while Redis was away', memory > 0, `${memory} decisions`),
      check(
        'Redis is used again within a second of its return',
        (outage.returnMs ?? Number.POSITIVE_INFINITY) < 1_000,
        outage.returnMs === undefined ? 'never' : ms(outage.returnMs),
      ),
    )
  }
  return checks
}

function check(promise: string, held: boolean, measured: string): Check {
  return { promise, held, measured }
}

/** A stream that its decoder cut is not lost for Redis. */
function isLost({ status, error }: Result): boolean {
  return status === 'failed' && !/cut short|terminated|Premature|other side closed/i.test(error ?? '')
}

function keyOf({ job }: Result): string {
  return `${job.maxTokens} ${job.prompt}`
}

export function quantile(results: readonly Result[], q: number): number {
  const sorted = results
    .filter(({ status }) => status === 'answered')
    .map((result) => result.ms)
    .sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN
}

function ms(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} ms`
}
