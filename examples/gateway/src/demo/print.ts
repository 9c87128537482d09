import type { Check } from './checks.js'
import type { Row } from './table.js'

const widths = { name: 36, value: 18, line: 76 }

export function printTable(rows: readonly Row[]): void {
  const line = '─'.repeat(widths.line)
  const print = ([name, value, without = '']: Row) =>
    console.log(`${name.padEnd(widths.name)}${value.padEnd(widths.value)}${without}`.trimEnd())
  console.log(`\n${line}`)
  print(['', 'with evenkeel', 'without'])
  console.log(line)
  rows.forEach(print)
  console.log(line)
}

export function printChecks(checks: readonly Check[]): void {
  for (const { held, promise, measured } of checks)
    console.log(`${held ? '✓' : '✗'} ${promise} (${measured})`)
  const broken = checks.filter(({ held }) => !held)
  console.log(
    broken.length === 0
      ? `\nAll ${checks.length} promises held.`
      : `\nNot held: ${broken.map(({ promise }) => promise).join('; ')}.`,
  )
}

/** At a terminal one line that moves; elsewhere a line a quarter. */
export function progressOf(label: string): (done: number, total: number) => void {
  const { isTTY } = process.stdout
  let told = 0
  return (done, total) => {
    const quarter = Math.floor((done / total) * 4)
    if (isTTY) process.stdout.write(`\r${label} ${done}/${total}${done === total ? '\n' : ''}`)
    else if (quarter > told) {
      told = quarter
      console.log(`${label} ${done}/${total}`)
    }
  }
}
