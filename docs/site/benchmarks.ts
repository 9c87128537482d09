import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { barChart } from './bar-chart.ts'
import { root } from './folders.ts'

/**
 * Writes what `pnpm bench` has measured into the benchmarks page: `pnpm docs:benchmarks [test/.report/bench.json]`.
 * Each suite of a full run replaces its earlier results in `docs/benchmarks/results.json`; a smoke run is refused.
 */
interface Standing {
  readonly name: string
  readonly perSecond: number
  readonly usEach: number
  readonly cpuUsEach: number
  readonly ratio: number
}

interface SuiteResult {
  readonly suite: string
  readonly comparisons: readonly { readonly title: string; readonly standings: readonly Standing[] }[]
  readonly figures: readonly {
    readonly name: string
    readonly value: number
    readonly unit: string
    readonly bound?: { readonly atLeast?: number; readonly atMost?: number }
  }[]
}

interface Report {
  readonly at: string
  readonly machine: { readonly node: string; readonly cpu?: string; readonly cores: number }
  readonly effort: { readonly smoke: boolean; readonly rounds: number; readonly roundMs: number }
  readonly results: readonly SuiteResult[]
}

type Kept = Record<string, Omit<Report, 'results'> & { readonly result: SuiteResult }>

/** The contenders of the suites that are evenkeel; all others are peers and bare clients. */
const own =
  /^evenkeel|^(?:limiter|cache|pool)\.fetch|^cache, limiter|^acquire|^failover|^the connection|, \d+ nodes$/

const folder = join(root, 'docs/benchmarks')
const keptFile = join(folder, 'results.json')
const page = join(root, 'docs/benchmarks/index.md')
const [, , file] = process.argv
const given = file === undefined ? undefined : resolve(process.env.INIT_CWD ?? '.', file)

const kept: Kept = existsSync(keptFile) ? (JSON.parse(readFileSync(keptFile, 'utf8')) as Kept) : {}
if (given !== undefined) {
  const { results, ...run } = JSON.parse(readFileSync(given, 'utf8')) as Report
  if (run.effort.smoke) {
    console.error(`${given} is of a smoke run, whose numbers mean nothing: run pnpm bench without --smoke`)
    process.exit(1)
  }
  for (const result of results) kept[result.suite] = { ...run, result }
  writeFileSync(keptFile, `${JSON.stringify(kept, null, 2)}\n`)
}

const begin = '<!-- measured: written by pnpm docs:benchmarks -->'
const end = '<!-- measured: end -->'
const text = readFileSync(page, 'utf8')
const [before = '', rest = ''] = text.split(begin)
const [, after = ''] = rest.split(end)
const suites = Object.entries(kept).sort(([one], [other]) => one.localeCompare(other))
const measured = suites.length === 0 ? none() : suites.map(([name, each]) => section(name, each)).join('\n\n')
writeFileSync(page, `${before}${begin}\n\n${measured}\n\n${end}${after}`)
console.log(`${page}: ${suites.length === 0 ? 'no suite' : suites.map(([name]) => name).join(', ')}`)

function none(): string {
  return 'No full run of this version is kept yet. What was measured before stands above; `pnpm bench` prints yours.'
}

function section(name: string, { at, machine, effort, result }: Kept[string]): string {
  const parts = result.comparisons.map(({ title, standings }, index) => {
    const file = `${name}-${index + 1}.svg`
    writeFileSync(
      join(folder, file),
      barChart(
        title,
        standings.map((each) => ({ name: each.name, value: each.perSecond })),
        { isOwn: (name) => own.test(name) },
      ),
    )
    const rows = standings.map(
      (each) =>
        `| ${each.name} | ${each.perSecond.toLocaleString('en')} | ${each.usEach} | ${each.cpuUsEach} | ${each.ratio} |`,
    )
    return [
      `#### ${title}`,
      `![${title}: calls a second](${file})`,
      `| | a second | µs each | processor µs each | ratio |\n| --- | ---: | ---: | ---: | ---: |\n${rows.join('\n')}`,
    ].join('\n\n')
  })
  const figures = result.figures.map(({ name: figure, value, unit, bound }) => {
    const wanted = bound?.atLeast === undefined ? bound?.atMost : bound.atLeast
    const word =
      bound === undefined ? '' : `${bound.atLeast === undefined ? 'at most' : 'at least'} ${wanted}`
    const holds =
      bound === undefined ||
      (bound.atLeast === undefined ? value <= (wanted ?? value) : value >= (wanted ?? value))
    return `| ${figure} | ${value} ${unit} | ${word} | ${bound === undefined ? '' : holds ? 'holds' : '**missed**'} |`
  })
  const where = `${at.slice(0, 10)}, Node ${machine.node}, ${machine.cores} cores (${machine.cpu ?? 'unknown'}), ${effort.rounds} rounds of ${effort.roundMs} ms. \`pnpm bench ${name}\``
  return [
    `### ${name}`,
    where,
    ...parts,
    ...(figures.length === 0
      ? []
      : [`| figure | measured | wanted | |\n| --- | ---: | --- | --- |\n${figures.join('\n')}`]),
  ].join('\n\n')
}
