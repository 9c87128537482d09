import { styleText } from 'node:util'
import type { Io } from './io.js'

export type Tone = 'good' | 'warning' | 'bad' | 'dim' | 'strong'

const formats = { good: 'green', warning: 'yellow', bad: 'red', dim: 'dim', strong: 'bold' } as const

/** Colours text at a terminal; leaves it alone in a pipe, and where NO_COLOR is set. */
export function tint(io: Io, tone: Tone, text: string): string {
  return io.hasColours ? styleText(formats[tone], text) : text
}

/** Columns that are as wide as their widest cell; colours don't count. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, widthOf(cell))
  }
  return rows.map((row) =>
    row
      .map((cell, index) =>
        index === row.length - 1 ? cell : cell + ' '.repeat((widths[index] ?? 0) - widthOf(cell)),
      )
      .join('  '),
  )
}

function widthOf(cell: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that colour a terminal
  return cell.replace(/\x1b\[[0-9;]*m/g, '').length
}

/** One value as JSON, or lines for a person. */
export function show(io: Io, isJson: boolean, value: unknown, lines: () => readonly string[]): void {
  if (isJson) io.out(JSON.stringify(value))
  else for (const line of lines()) io.out(line)
}

export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let [value, unit] = [bytes, 0]
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024
    unit++
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

export function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`
  return `${Math.round(ms / 3_600_000)} h`
}
