import type { Measures } from '../measures.js'
import { faultyLoad, type Results, type Row, usualLoad } from './scenarios.js'

/** The simulation's tables. They contain only numbers, so that the prose about them can be written by hand. */
export function tablesOf(results: Results): string {
  const { plan } = results
  const main = plan.traffics[0]?.name ?? ''
  const usual = percent(usualLoad(plan))
  const setting = `${plan.nodes} nodes, ${plan.coordinators} coordinators, seed ${plan.seed}`
  const sizes = plan.traffics.map(({ name, arrivals }) => `${name} (${arrivals.length} requests)`).join(', ')
  return [
    '# Simulated strategies: the tables',
    `Written by \`pnpm simulate\`, not by hand: ${setting}; ${sizes}. What is simulated, how, and what follows from it is on [simulation.md](simulation.md).`,
    "Times are in seconds; a request without an answer counts as slower than any other. *In time*: answered, the first token within 10 s, or three times what the prompt takes alone. *Shed*: refused, failed or given up. *Fullest*: requests on the fullest node by the mean. *Hits*: prompt blocks found in the node's cache.",
    ...results.byLoad.flatMap(({ traffic, load, rows }) => [
      `## ${traffic} at ${percent(load)} load`,
      table(
        [
          '',
          'latency p50',
          'p99',
          'first token p50',
          'p99',
          'in time',
          'shed',
          'busy',
          'busy, deviation by mean',
          'fullest',
          'hits',
        ],
        rows,
        ({ latency, firstToken, goodput, shed, busy, busyVariation, fullestToMean, prefixHits }) => [
          seconds(latency.p50),
          seconds(latency.p99),
          seconds(firstToken.p50),
          seconds(firstToken.p99),
          percent(goodput),
          percent(shed),
          percent(busy),
          busyVariation.toFixed(3),
          fullestToMean.toFixed(2),
          prefixHits === undefined ? '' : percent(prefixHits),
        ],
      ),
    ]),
    `## By coordinators: ${main} at ${usual} load`,
    'Latency p99 · share in time.',
    across(results.byCoordinators, ({ coordinators }) => String(coordinators), tailAndGoodput),
    `## By how old the word of others' load is: ${main} at ${usual} load`,
    'Latency p99 · share in time, with reports every so many milliseconds.',
    across(results.byStaleness, ({ reportEveryMs }) => String(reportEveryMs), tailAndGoodput),
    `## By the size of a node's cache: ${main} at ${usual} load`,
    'Latency p99 · hits, with so many blocks of 512 tokens a node.',
    across(
      results.byCache,
      ({ cacheBlocks }) => String(cacheBlocks),
      ({ latency, prefixHits = 0 }) => `${seconds(latency.p99)} · ${percent(prefixHits)}`,
    ),
    ...results.faults.flatMap(({ title, rows }) => [
      `## ${title}: ${main} at ${percent(faultyLoad)} load`,
      table(
        [
          '',
          'latency p50',
          'p99',
          'first token p99',
          'in time',
          'shed',
          'fullest',
          'most calls to one faulty node before it is out',
          'out everywhere within',
          'tried elsewhere',
        ],
        rows,
        ({ latency, firstToken, goodput, shed, fullestToMean, faultyCalls, foundWithin, retries }) => [
          seconds(latency.p50),
          seconds(latency.p99),
          seconds(firstToken.p99),
          percent(goodput),
          percent(shed),
          fullestToMean.toFixed(2),
          String(faultyCalls),
          foundWithin === 0 ? '' : seconds(foundWithin),
          String(retries),
        ],
      ),
    ]),
    '',
  ]
    .join('\n\n')
    .trimEnd()
    .concat('\n')
}

function tailAndGoodput({ latency, goodput }: Measures): string {
  return `${seconds(latency.p99)} · ${percent(goodput)}`
}

function table(
  head: readonly string[],
  rows: readonly Row[],
  cellsOf: (measures: Measures) => readonly string[],
): string {
  return lines(
    head,
    rows.map(({ balancer, measures }) => [balancer, ...cellsOf(measures)]),
  )
}

/** One line for each strategy, one column for each setting. */
function across<T extends { readonly rows: readonly Row[] }>(
  settings: readonly T[],
  titleOf: (setting: T) => string,
  cellOf: (measures: Measures) => string,
): string {
  const names = settings[0]?.rows.map(({ balancer }) => balancer) ?? []
  return lines(
    ['', ...settings.map(titleOf)],
    names.map((name) => [
      name,
      ...settings.map(({ rows }) => {
        const row = rows.find(({ balancer }) => balancer === name)
        return row === undefined ? '' : cellOf(row.measures)
      }),
    ]),
  )
}

function lines(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...body.map(line)].join(
    '\n',
  )
}

function seconds(value: number): string {
  if (!Number.isFinite(value)) return '∞'
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`
}
