import type { Check, Row } from './findings.js'

const width = 36

export function printTable(rows: readonly Row[]): void {
  console.log(`\n${'─'.repeat(width + 34)}`)
  for (const [name, value] of rows) console.log(`${name.padEnd(width)}${value}`)
  console.log('─'.repeat(width + 34))
}

export function printChecks(checks: readonly Check[]): void {
  for (const { held, promise, measured } of checks)
    console.log(`${held ? '✓' : '✗'} ${promise} (${measured})`)
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
