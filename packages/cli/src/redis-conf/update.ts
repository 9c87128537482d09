import { repeatable } from './directives.js'
import { parseConf, quoted } from './parse.js'

export interface ConfChange {
  readonly name: string
  /** The new values; `undefined` removes the directive. */
  readonly values: readonly string[] | undefined
}

/**
 * Changes directives of a redis.conf and keeps everything else: comments, order, blank lines, line ends. A directive is
 * changed in its place (of several lines, the last is changed and the others are removed); a new one is added at the
 * end. For a directive that may occur more than once, the new line replaces all its lines.
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
