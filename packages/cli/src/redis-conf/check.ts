import { closest, distance } from 'fastest-levenshtein'
import { dangersOf } from './dangers.js'
import { directiveTable } from './directive-table.js'
import { type Directive, repeatable, type ServerName } from './directives.js'
import type { CheckOptions, ConfFinding } from './finding.js'
import { bytesOf, type Line, parseConf } from './parse.js'

/** Checks a redis.conf by the server's own rules, then for contradictions and dangers. Findings are in line order. */
export function checkConf(text: string, options: CheckOptions = {}): readonly ConfFinding[] {
  const lines = parseConf(text)
  const settings = new Map(
    lines.flatMap((line) => (line.name === undefined ? [] : [[line.name, line] as const])),
  )
  const findings = [
    ...lines.flatMap((line) => findingsOf(line, options.server)),
    ...repeated(lines),
    ...dangersOf(lines, settings, options),
  ]
  return findings.sort(
    (one, other) => (one.line ?? Number.MAX_SAFE_INTEGER) - (other.line ?? Number.MAX_SAFE_INTEGER),
  )
}

function findingsOf(line: Line, server: ServerName | undefined): readonly ConfFinding[] {
  const error = (message: string, mend?: string): ConfFinding[] => [
    { line: line.number, level: 'error', message, mend },
  ]
  if (line.error !== undefined) return error(line.error, 'close the quote, or escape it with a backslash')
  if (line.name === undefined) return []
  const directive = Object.hasOwn(directiveTable, line.name) ? directiveTable[line.name] : undefined
  if (directive === undefined) return error(`no server knows '${line.name}'`, didYouMean(line.name))
  if (server !== undefined && !directive.servers.includes(server)) {
    return error(
      `${server} does not know '${line.name}'; ${directive.servers.join(' and ')} does`,
      'remove the line',
    )
  }
  if (line.values.length === 0)
    return error(`'${line.name}' has no value`, 'write a value, or remove the line')
  const problem = problemOf(line, directive)
  return problem === undefined ? [] : error(`${line.name}: ${problem}`)
}

function problemOf({ name, values }: Line, directive: Directive): string | undefined {
  const [value = ''] = values
  switch (directive.type) {
    case 'flag':
      return /^(yes|no)$/i.test(value) && values.length === 1 ? undefined : `takes yes or no`
    case 'choice': {
      const isChoice = directive.choices?.includes(value.toLowerCase()) ?? true
      return isChoice ? undefined : `takes one of ${directive.choices?.join(', ')}`
    }
    case 'integer': {
      const number = Number(value)
      if (!/^-?\d+$/.test(value)) return 'takes a whole number'
      const { min = number, max = number } = directive
      return number < min || number > max ? `takes a number from ${min} to ${max}` : undefined
    }
    case 'memory':
      return bytesOf(value) === undefined ? 'takes an amount of memory, such as 512mb or 2gb' : undefined
    case 'memory-or-percent':
      return bytesOf(value) === undefined && !/^\d{1,3}%$/.test(value)
        ? 'takes an amount of memory or a percentage, such as 512mb or 5%'
        : undefined
    default:
      return name === 'save' ? problemOfSave(values) : undefined
  }
}

function problemOfSave(values: readonly string[]): string | undefined {
  if (values.length === 1 && values[0] === '') return undefined
  const areNumbers = values.every((value) => /^\d+$/.test(value))
  return areNumbers && values.length % 2 === 0 ? undefined : 'takes pairs of seconds and changes, or ""'
}

function repeated(lines: readonly Line[]): readonly ConfFinding[] {
  const first = new Map<string, number>()
  return lines.flatMap(({ name, number }) => {
    if (name === undefined || repeatable.has(name)) return []
    const before = first.get(name)
    first.set(name, before ?? number)
    if (before === undefined) return []
    return [
      {
        line: number,
        level: 'warning' as const,
        message: `'${name}' is set in line ${before} already; the last line counts`,
        mend: `remove line ${before}`,
      },
    ]
  })
}

function didYouMean(name: string): string | undefined {
  const nearest = closest(name, Object.keys(directiveTable))
  return distance(name, nearest) <= Math.max(2, name.length / 4) ? `did you mean '${nearest}'?` : undefined
}
