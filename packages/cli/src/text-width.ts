// biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences that colour a terminal
const colours = /\x1b\[[0-9;]*m/g

/** Columns that a text takes at a terminal; colours take none. */
export function widthOf(cell: string): number {
  return cell.replace(colours, '').length
}

/** A line as wide as the terminal at most; one that is too long loses its colours. */
export function cut(line: string, width: number): string {
  return widthOf(line) <= width ? line : `${line.replace(colours, '').slice(0, width - 1)}…`
}
