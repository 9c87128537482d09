import type { Result } from './driver.js'
import {
  answeredBy,
  answeredTurns,
  borrowedHits,
  decidedBy,
  type Findings,
  isLostForRedis,
  type Outage,
  quantile,
  withStatus,
} from './findings.js'
import { formatMs } from './format.js'
import { sum } from './metrics.js'
import { greedyUser, type Job } from './workload.js'

/** A row of the table: a value with evenkeel, and one without it if there is such a value. */
export type Row = readonly [name: string, withEvenkeel: string, without?: string]

export function tableOf(findings: Findings): readonly Row[] {
  return [...requestRows(findings), ...callRows(findings), ...sharedRows(findings), ...outageRows(findings)]
}

function requestRows({ results, baseline, outage }: Findings): readonly Row[] {
  const refused = withStatus(results, 'refused').length
  return [
    ['requests', `${results.length}`, `${baseline.length}`],
    ['  admitted', `${results.length - refused}`, `${baseline.length}`],
    ['  refused by a limit (429)', `${refused}`, 'no limits'],
    [
      '  failed with a dying decoder',
      `${withStatus(results, 'failed').length}`,
      `${withStatus(baseline, 'failed').length}`,
    ],
    ...latencyRows(results, baseline, outage),
  ]
}

/** Jobs sent during an outage have rows of their own, for the run without evenkeel too, which has no outage. */
function latencyRows(
  results: readonly Result[],
  baseline: readonly Result[],
  outage: Outage | undefined,
): readonly Row[] {
  const rows = (when: string, isMeant: (job: Job) => boolean): readonly Row[] => {
    const [own, other] = [results, baseline].map((all) => all.filter(({ job }) => isMeant(job)))
    const row = (name: string, q: number): Row => [
      `latency${when}, ${name}`,
      formatMs(quantile(own ?? [], q)),
      formatMs(quantile(other ?? [], q)),
    ]
    return [row('median', 0.5), row('99th percentile', 0.99)]
  }
  if (outage === undefined) return rows('', () => true)
  const during = new Set(results.filter(outage.during).map(({ job }) => job))
  return [
    ...rows(' with Redis', (job) => !during.has(job)),
    ...rows(' without Redis', (job) => during.has(job)),
  ]
}

function callRows({ results, baseline, metrics, nodes }: Findings): readonly Row[] {
  const calls = (labels = {}) => `${sum(metrics, 'gateway_upstream_calls_total', labels)}`
  return [
    ['answered from the cache', `${answeredBy(results, 'hit').length}`],
    ['joined a call under way', `${answeredBy(results, 'coalesced').length}`],
    ['calls of decoders', calls(), `${baseline.length}`],
    ...nodes.map(
      (node, index): Row => [
        `  ${node}`,
        calls({ node }),
        `${baseline.filter(({ server }) => server === index).length}`,
      ],
    ),
    ['tokens saved', sum(metrics, 'gateway_tokens_saved').toLocaleString('en'), '0'],
    ['turns of conversations', `${answeredTurns(results).length}`, 'the client resends all'],
  ]
}

function sharedRows({ results, gateways }: Findings): readonly Row[] {
  if (gateways === 1) return []
  const perGateway = (found: typeof results) =>
    Array.from({ length: gateways }, (_, index) => found.filter(({ server }) => server === index).length)
  const greedy = results.filter(({ job, status }) => job.user === greedyUser && status !== 'refused')
  return [
    ['requests at each gateway', perGateway(results).join(' + ')],
    ["  the greedy user's admitted", `${perGateway(greedy).join(' + ')}`],
    ['  hits of what the other stored', perGateway(borrowedHits(results)).join(' + ')],
    ['limits decided by Redis / memory', `${decidedBy(results, 'redis')} / ${decidedBy(results, 'memory')}`],
  ]
}

function outageRows({ results, outage }: Findings): readonly Row[] {
  if (outage === undefined) return []
  const during = results.filter(outage.during)
  return [
    ['Redis was away for', formatMs(outage.awayMs)],
    ['  requests meanwhile', `${during.length}`],
    ['  of them failed for it', `${during.filter(isLostForRedis).length}`],
    ['  answered from the cache meanwhile', `${answeredBy(during, 'hit').length}`],
    ['  used again after', outage.returnMs === undefined ? 'never' : formatMs(outage.returnMs)],
  ]
}
