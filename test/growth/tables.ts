/** A measured table, as the page of `docs/growth.md` shows it. */
export interface Table {
  readonly id: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

export type Cell = string | number

/** How much a run measures: `smoke` only shows that it runs, its figures mean little. */
export interface Effort {
  readonly smoke: boolean
  /** Sizes of the families of instances. @default 1, 10, 50 and 200 */
  readonly instances?: readonly number[] | undefined
}

export function familySizes({ smoke, instances }: Effort): readonly number[] {
  return instances ?? (smoke ? [1, 3] : [1, 10, 50, 200])
}

export interface Section {
  readonly name: string
  measure(effort: Effort): Promise<readonly Table[]>
}

export function markdownOf({ id, columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    `${id}\n`,
    line(columns),
    line(columns.map((_, index) => (typeof rows[0]?.[index] === 'number' ? '---:' : '---'))),
    ...rows.map((row) => line(row.map((cell) => (typeof cell === 'number' ? figure(cell) : cell)))),
  ].join('\n')
}

/** Two significant digits below 10, three below 100, and a whole number from there on. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const rounded =
    Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(Math.abs(value) < 10 ? 2 : 3))
  return rounded.toLocaleString('en', { maximumFractionDigits: 6 })
}
