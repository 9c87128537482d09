/**
 * A glob of Redis's dialect, which SCAN matches by: `*` and `?` take any character, `[abc]`, `[a-z]` and
 * `[^a]` one of a set, a backslash takes the next as it is.
 */
export function globToRegExp(glob: string): RegExp {
  let source = ''
  for (let at = 0; at < glob.length; at++) {
    const character = glob.charAt(at)
    if (character === '*') source += '.*'
    else if (character === '?') source += '.'
    else if (character === '\\') source += literal(glob.charAt(++at))
    else if (character === '[') {
      const end = glob.indexOf(']', at + 1)
      if (end === -1) source += literal(character)
      else {
        source += setOf(glob.slice(at + 1, end))
        at = end
      }
    } else source += literal(character)
  }
  return new RegExp(`^${source}$`, 's')
}

function setOf(members: string): string {
  const negated = members.startsWith('^')
  const escaped = members.slice(negated ? 1 : 0).replace(/[\\\]^]/g, '\\$&')
  // An empty set matches nothing.
  if (escaped === '') return negated ? '.' : '(?!)'
  return `[${negated ? '^' : ''}${escaped}]`
}

function literal(character: string): string {
  return character.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
