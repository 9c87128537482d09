import type { Check } from './checks.js'
import type { Row } from './table.js'

const widths = { name: 40, value: 18, line: 76 }

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

/** Prints what to try or read after the table. */
export function printPointers(isChaos: boolean): void {
  console.log(`
What to look at next
  examples/gateway/src/server/gateway.ts   how the five packages compose
  examples/gateway/src/server/api.ts       a request's way: key, limit, memory, cache, decoders
  docs/promises.md                         what the packages promise, and the tests that hold them to it
  docs/benchmarks/index.md                 what was measured, beside peers
  ${isChaos ? 'demo                                     the same without an outage' : 'demo --chaos                             the same, with Redis taken away and brought back'}`)
}
