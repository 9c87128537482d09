import { styleText } from 'node:util'
import type { Io } from './io.js'
import { widthOf } from './text-width.js'

export type Tone = 'good' | 'warning' | 'bad' | 'dim' | 'strong'

const formats = { good: 'green', warning: 'yellow', bad: 'red', dim: 'dim', strong: 'bold' } as const

/** Colours text on a terminal, but not in a pipe or if NO_COLOR is set. */
export function tint(io: Io, tone: Tone, text: string): string {
  return io.hasColours ? styleText(formats[tone], text) : text
}

/** Aligns columns to their widest cell; colours take no width. */
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

/** Shows one value: as JSON, or as lines for a person. */
export function show(io: Io, isJson: boolean, value: unknown, lines: () => readonly string[]): void {
  if (isJson) io.out(JSON.stringify(value))
  else for (const line of lines()) io.out(line)
}

/** A number with its noun: `1 conversation`, `2 conversations`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
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

/** A duration: `250 ms`, `1.5 s`, `2 min`, `30 d`. Of a unit larger than a second, at least 5 or a whole number. */
export function durationText(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1_000],
    ['ms', 1],
  ] as const
  for (const [unit, size] of units) {
    const count = ms / size
    if (count >= 5) return `${Math.round(count)} ${unit}`
    if (count >= 1 && Math.abs(count - Math.round(count)) < 0.001) return `${Math.round(count)} ${unit}`
    if (count >= 1 && unit === 's') return `${count.toFixed(1)} s`
  }
  return `${Math.round(ms)} ms`
}
