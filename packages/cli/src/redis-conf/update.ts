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
 * end. Of two changes of one directive the later counts. For a directive that may occur more than once, all its changes
 * together replace all its lines.
 */
export function updateConf(text: string, changes: readonly ConfChange[]): string {
  const lineEnd = text.includes('\r\n') ? '\r\n' : '\n'
  const lines = parseConf(text).map(({ text: line, name }) => ({ line, name }))
  for (const [name, written] of linesByName(changes)) {
    const places = lines.flatMap((line, index) => (line.name === name ? [index] : []))
    const place = (repeatable.has(name) ? places[0] : places.at(-1)) ?? lines.length
    const replaced = new Set(places)
    const before = lines.slice(0, place).filter((_, index) => !replaced.has(index))
    const after = lines.slice(place).filter((_, index) => !replaced.has(place + index))
    lines.splice(0, lines.length, ...before, ...written.map((line) => ({ line, name })), ...after)
  }
  return lines.map(({ line }) => line + lineEnd).join('')
}

/** The lines that each changed directive is to have. */
function linesByName(changes: readonly ConfChange[]): ReadonlyMap<string, readonly string[]> {
  const byName = new Map<string, readonly string[]>()
  for (const { name, values } of changes) {
    const wanted = name.toLowerCase()
    const earlier = repeatable.has(wanted) ? (byName.get(wanted) ?? []) : []
    byName.set(wanted, values === undefined ? [] : [...earlier, [wanted, ...values.map(quoted)].join(' ')])
  }
  return byName
}
