import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { barChart } from './bar-chart.ts'
import { root } from './folders.ts'
import { type LineChart, lineChart, type Series } from './line-chart.ts'

/**
 * The tables and plots of `docs/growth.md`, from the results of `pnpm growth` in `docs/growth/results.json`. In the
 * page a table is between a comment with its name and one that ends it.
 */
const page = 'docs/growth.md'
const folder = 'docs/growth'
const end = '<!-- growth: end -->'

type Cell = string | number | null

interface Table {
  readonly id: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

interface Section {
  readonly at: string
  readonly machine: { readonly node: string; readonly cpu?: string; readonly cores: number }
  readonly tables: readonly Table[]
}

type Results = Readonly<Record<string, Section>>

/** The paths of the plots and of the page itself, with the text that each file must have. */
export function growthPage(): ReadonlyMap<string, string> {
  const results = JSON.parse(readFileSync(join(root, folder, 'results.json'), 'utf8')) as Results
  const tables = new Map(
    Object.values(results).flatMap(({ tables }) => tables.map((table) => [table.id, table])),
  )
  return new Map([
    ...plotsOf(tables),
    [page, filled(readFileSync(join(root, page), 'utf8'), tables, results)],
  ])
}

function filled(text: string, tables: ReadonlyMap<string, Table>, results: Results): string {
  return text.replaceAll(/<!-- growth: ([\w-]+) -->\n[\s\S]*?<!-- growth: end -->/g, (_, id: string) => {
    const content = id === 'runs' ? runs(results) : markdownOf(tableOf(tables, id))
    return `<!-- growth: ${id} -->\n\n${content}\n\n${end}`
  })
}

function runs(results: Results): string {
  const rows = Object.entries(results)
    .sort(([one], [other]) => one.localeCompare(other))
    .map(
      ([name, { at, machine }]) =>
        `| \`pnpm growth ${name}\` | ${at.slice(0, 10)} | Node ${machine.node}, ${machine.cores} cores (${machine.cpu ?? 'unknown'}) |`,
    )
  return ['| command | measured | on |', '| --- | --- | --- |', ...rows].join('\n')
}

function tableOf(tables: ReadonlyMap<string, Table>, id: string): Table {
  const table = tables.get(id)
  if (table === undefined) throw new Error(`${folder}/results.json has no table '${id}': run pnpm growth`)
  return table
}

function markdownOf({ columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const isText = (index: number) => rows.every((row) => typeof row[index] === 'string')
  return [
    line(columns),
    line(columns.map((_, index) => (isText(index) ? '---' : '---:'))),
    ...rows.map((row) => line(row.map(figure))),
  ].join('\n')
}

/** Two significant digits below 10, three below 100, then whole numbers. `null` is JSON's NaN: the server is full. */
function figure(value: Cell): string {
  if (typeof value === 'string') return value
  if (value === null) return 'full'
  const size = Math.abs(value)
  const rounded = size >= 100 ? Math.round(value) : Number(value.toPrecision(size < 10 ? 2 : 3))
  return rounded.toLocaleString('en', { maximumFractionDigits: 6 })
}

function plotsOf(tables: ReadonlyMap<string, Table>): readonly (readonly [string, string])[] {
  const column = (id: string, name: string) => columnOf(tableOf(tables, id), name)
  const points = (id: string, across: string, up: string): Series['points'] => {
    const [xs, ys] = [column(id, across), column(id, up)]
    return xs.map((x, index) => [Number(x), Number(ys[index] ?? Number.NaN)])
  }
  const rowsWith = (id: string, name: string, value: Cell): Table => {
    const table = tableOf(tables, id)
    const index = table.columns.indexOf(name)
    return { ...table, rows: table.rows.filter((row) => row[index] === value) }
  }
  const line = (name: string, chart: LineChart) => [`${folder}/${name}.svg`, lineChart(chart)] as const
  const families = {
    'rate limiter': 'limiter',
    'response cache': 'cache',
    'agent memory': 'memory',
    'decoder pool': 'pool',
  }
  const leases = rowsWith('leases', 'instances', 50)
  const pairs = (table: Table, across: string, up: string): Series['points'] => {
    const [xs, ys] = [columnOf(table, across), columnOf(table, up)]
    return xs.map((x, index) => [Number(x), Number(ys[index] ?? Number.NaN)])
  }
  const topologies = ['one server', '3 primaries', '10 primaries', '30 primaries']
  const simulated = (up: string) =>
    topologies.map((name) => ({
      name,
      points: points('simulation-instances', 'instances', `${name}: ${up}`),
    }))
  return [
    line('idle-commands', {
      title: 'Commands a second of an idle family, by its instances',
      xName: 'instances',
      yName: 'commands a second',
      series: Object.entries(families).map(([name, id]) => ({
        name,
        points: points(`${id}-idle`, 'instances', 'commands a second'),
      })),
    }),
    line('by-size', {
      title: 'Microseconds of the processor of Redis, by how much it holds',
      xName: 'subjects, answers, threads',
      yName: 'µs of Redis an operation',
      logarithmic: ['x'],
      series: [
        {
          name: 'a decision, of 128 at once',
          points: pairs(
            rowsWith('limiter-subjects', 'limit', 'sliding window'),
            'subjects',
            'µs of the processor a decision',
          ),
        },
        {
          name: 'a hit, of 64 at once',
          points: points('cache-entries', 'answers of 1 KB', 'µs of the processor a hit, 64 at once'),
        },
        {
          name: 'an append, of 64 at once',
          points: points(
            'memory-threads',
            'threads of one message',
            'µs of the processor an append, 64 at once',
          ),
        },
      ],
    }),
    line('picks', {
      title: 'Microseconds of a process for a choice among nodes',
      xName: 'nodes',
      yName: 'µs of the process',
      logarithmic: ['x'],
      series: [
        { name: 'a pick, with filters', points: points('pool-nodes', 'nodes', 'µs of the process a pick') },
      ],
    }),
    [
      `${folder}/cluster.svg`,
      barChart(
        'What three primaries do by what one server does',
        tableOf(tables, 'cluster').rows.map((row) => ({
          name: String(row[0]),
          value: Number((Number(row.at(-1)) / Number(row.at(-2))).toFixed(1)),
        })),
        { unit: ' x' },
      ),
    ],
    line('leases', {
      title: 'Commands for a decision about one subject that fifty instances ask for',
      xName: 'decisions a second of each of fifty instances',
      yName: 'commands a decision',
      logarithmic: ['x', 'y'],
      series: [
        {
          name: 'without leases',
          points: pairs(leases, 'decisions a second of each', 'commands a decision'),
        },
        { name: 'with leases', points: pairs(leases, 'decisions a second of each', 'with leases') },
      ],
    }),
    line('simulated-decisions', {
      title: 'Simulated: decisions a second by instances and primaries',
      xName: 'instances, each asked 500 a second',
      yName: 'decisions a second',
      logarithmic: ['x', 'y'],
      series: simulated('decided a second'),
    }),
    line('simulated-batches', {
      title: 'Simulated: the most decisions a second by how many travel together',
      xName: 'decisions in one turn of an instance',
      yName: 'decisions a second',
      logarithmic: ['x', 'y'],
      series: topologies.map((name) => ({
        name,
        points: points('simulation-batches', 'decisions in a turn', `${name}: at most, a second`),
      })),
    }),
  ]
}

function columnOf({ id, columns, rows }: Table, name: string): readonly (Cell | undefined)[] {
  const index = columns.indexOf(name)
  if (index === -1) throw new Error(`table '${id}' has no column '${name}'`)
  return rows.map((row) => row[index])
}
