import { repeatable } from './directives.js'
import { parseConf, quoted } from './parse.js'

export interface ConfChange {
  readonly name: string
  /** `undefined` takes the directive out. */
  readonly values: readonly string[] | undefined
}

/**
 * Changes directives of a redis.conf and leaves everything else as it stands: comments, order, blank lines, line
 * ends. A directive is changed where it stands (the last line of several, the others go); a new one comes at the end.
 * For a directive that may stand more than once, all its lines give way to the new one.
 */
export function updateConf(text: string, changes: readonly ConfChange[]): string {
  const lineEnd = text.includes('\r\n') ? '\r\n' : '\n'
  const lines = parseConf(text).map(({ text: line, name }) => ({ line, name }))
  for (const { name, values } of changes) {
    const wanted = name.toLowerCase()
    const written = values === undefined ? undefined : [wanted, ...values.map(quoted)].join(' ')
    const places = lines.flatMap((line, index) => (line.name === wanted ? [index] : []))
    const kept = repeatable.has(wanted) ? places[0] : places.at(-1)
    if (written !== undefined && kept === undefined) lines.push({ line: written, name: wanted })
    if (written !== undefined && kept !== undefined) lines[kept] = { line: written, name: wanted }
    const superfluous = new Set(places.filter((index) => written === undefined || index !== kept))
    const left = lines.filter((_, index) => !superfluous.has(index))
    lines.splice(0, lines.length, ...left)
  }
  return lines.map(({ line }) => line + lineEnd).join('')
}
