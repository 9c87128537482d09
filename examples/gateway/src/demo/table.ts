import {
  answeredBy,
  answeredTurns,
  borrowedHits,
  decidedBy,
  type Findings,
  isLostForRedis,
  quantile,
  withStatus,
} from './findings.js'
import { formatMs } from './format.js'
import { sum } from './metrics.js'
import { greedyUser } from './workload.js'

/** What was counted, with evenkeel, and without it where that means something. */
export type Row = readonly [name: string, withEvenkeel: string, without?: string]

export function tableOf(findings: Findings): readonly Row[] {
  return [...requestRows(findings), ...callRows(findings), ...sharedRows(findings), ...outageRows(findings)]
}

function requestRows({ results, baseline }: Findings): readonly Row[] {
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
    ['latency, median', formatMs(quantile(results, 0.5)), formatMs(quantile(baseline, 0.5))],
    ['latency, 99th percentile', formatMs(quantile(results, 0.99)), formatMs(quantile(baseline, 0.99))],
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
