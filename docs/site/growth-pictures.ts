import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { barChart } from './bar-chart.ts'
import { root } from './folders.ts'
import { growthPage } from './growth-page.ts'

/**
 * The plots of how the limiter grows, drawn from the tables of its page: `pnpm docs:pictures`. `pnpm limits:growth`
 * prints such tables; if they change, the plots must be drawn again, or the site is not built. The page of all packages
 * is written too, from the results of `pnpm growth`.
 */
const page = 'packages/rate-limiter/docs/scaling.md'

const plots = [
  {
    file: 'growth-decisions.svg',
    title: 'Decisions that one Redis does in a second',
    section: 'A decision',
    column: 4,
    unit: ' a second',
  },
  {
    file: 'growth-alone.svg',
    title: 'Microseconds of the server’s processor for a decision alone in its call',
    section: 'A decision',
    column: 1,
    unit: ' µs',
  },
  {
    file: 'growth-batch.svg',
    title: 'Microseconds for a decision of 128 that travel in one call, each of another subject',
    section: 'A decision',
    column: 3,
    unit: ' µs',
  },
  {
    file: 'growth-subject.svg',
    title: 'Bytes of all keys of one more subject, after one decision',
    section: 'A subject',
    column: 2,
    unit: ' bytes',
  },
] as const

/** The rows of a section's table. */
function rowsOf(text: string, section: string): string[][] {
  const [, part = ''] = text.split(`\n## ${section}\n`)
  const lines = (part.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('|'))
  return lines.slice(2).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}

function numberOf(cell: string | undefined): number {
  const value = Number(cell?.replaceAll(',', ''))
  if (!Number.isFinite(value)) throw new Error(`${page}: expected a number, got '${cell}'`)
  return value
}

/** The path of each plot, with the text that the file must have. */
export function growthPictures(): ReadonlyMap<string, string> {
  const text = readFileSync(join(root, page), 'utf8')
  return new Map(
    plots.map(({ file, title, section, column, unit }) => {
      const bars = rowsOf(text, section).map((row) => ({ name: row[0] ?? '', value: numberOf(row[column]) }))
      if (bars.length === 0) throw new Error(`${page}: no table below '${section}'`)
      return [`packages/rate-limiter/docs/${file}`, barChart(title, bars, { unit })]
    }),
  )
}

/** All files about growth that `pnpm docs:pictures` writes. */
function written(): ReadonlyMap<string, string> {
  return new Map([...growthPictures(), ...growthPage()])
}

/** Plots that differ from their tables, and tables that differ from the measured results. */
export function outdatedPictures(): string[] {
  return [...written()].flatMap(([path, svg]) => {
    const file = join(root, path)
    return existsSync(file) && readFileSync(file, 'utf8') === svg ? [] : [`${path}: run pnpm docs:pictures`]
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [path, text] of written()) writeFileSync(join(root, path), text)
