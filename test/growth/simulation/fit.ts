import type { Costs } from './model.js'

/** The measured cost of a turn. */
export interface CostSample {
  /** Connections that are written to. */
  readonly writes: number
  /** Commands in each write. */
  readonly commands: number
  /** Decisions in each command. */
  readonly decisions: number
  readonly us: number
}

/**
 * Costs of a wake-up, a write, a command and a decision that explain the samples best: least squares of the relative
 * error, so that a turn of one decision counts as much as one of a thousand.
 */
export function fitCosts(samples: readonly CostSample[]): Costs {
  const rows = samples.map(({ writes, commands, decisions, us }) =>
    [1, writes, writes * commands, writes * commands * decisions].map((value) => value / us),
  )
  const at = (row: number, column: number) =>
    rows.reduce((sum, values) => sum + (values[row] ?? 0) * (values[column] ?? 0), 0)
  const unknowns = [0, 1, 2, 3]
  const matrix = unknowns.map((row) => [
    ...unknowns.map((column) => at(row, column)),
    rows.reduce((sum, values) => sum + (values[row] ?? 0), 0),
  ])
  const [perWakeup = 0, perWrite = 0, perCommand = 0, perDecision = 0] = solved(matrix).map((value) =>
    Math.max(0, value),
  )
  return { perWakeup, perWrite, perCommand, perDecision }
}

/** Gauss–Jordan elimination with the largest pivot; the last column is the right side. */
function solved(matrix: readonly (readonly number[])[]): readonly number[] {
  const rows = matrix.map((row) => [...row])
  for (const [step] of rows.entries()) {
    const size = (row: readonly number[]) => Math.abs(row[step] ?? 0)
    const from = rows.slice(step).reduce((most, row) => (size(row) > size(most) ? row : most))
    const pivot = from[step] ?? 0
    if (Math.abs(pivot) < 1e-12)
      throw new Error('samples that do not tell writes, commands and decisions apart')
    const index = rows.indexOf(from)
    rows[index] = rows[step] ?? []
    rows[step] = from.map((value) => value / pivot)
    for (const [other, row] of rows.entries()) {
      const factor = row[step] ?? 0
      if (other !== step)
        rows[other] = row.map((value, column) => value - factor * (rows[step]?.[column] ?? 0))
    }
  }
  return rows.map((row) => row.at(-1) ?? Number.NaN)
}
