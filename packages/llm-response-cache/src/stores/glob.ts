type Token =
  | { readonly kind: 'any' }
  | { readonly kind: 'one' }
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'set'
      readonly isNegated: boolean
      readonly ranges: readonly (readonly [string, string])[]
    }

/**
 * Compiles a glob of the dialect of Redis's SCAN: `*` takes any characters and `?` one, `[abc]`, `[a-z]` and `[^a]`
 * take one of a set, and a backslash makes the next character literal. Time is at most proportional to the length of
 * the text times that of the pattern.
 */
export function globMatcher(glob: string): (text: string) => boolean {
  const tokens = tokensOf([...glob])
  return (text) => matches(tokens, [...text])
}

function tokensOf(characters: readonly string[]): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at] ?? ''
    if (character === '*') {
      if (tokens.at(-1)?.kind !== 'any') tokens.push({ kind: 'any' })
    } else if (character === '?') tokens.push({ kind: 'one' })
    else if (character === '\\' && at + 1 < characters.length) {
      tokens.push({ kind: 'text', text: characters[++at] ?? '' })
    } else if (character === '[') {
      const end = characters.indexOf(']', at + 1)
      if (end === -1) tokens.push({ kind: 'text', text: character })
      else {
        tokens.push(setOf(characters.slice(at + 1, end)))
        at = end
      }
    } else tokens.push({ kind: 'text', text: character })
  }
  return tokens
}

function setOf(members: readonly string[]): Token {
  const isNegated = members[0] === '^'
  const own = isNegated ? members.slice(1) : members
  const ranges: [string, string][] = []
  for (let at = 0; at < own.length; at++) {
    const character = own[at] ?? ''
    if (character === '\\' && at + 1 < own.length) {
      const next = own[++at] ?? ''
      ranges.push([next, next])
    } else if (own[at + 1] === '-' && at + 2 < own.length) {
      const last = own[at + 2] ?? ''
      // As Redis does, either end may come first.
      ranges.push(character <= last ? [character, last] : [last, character])
      at += 2
    } else ranges.push([character, character])
  }
  return { kind: 'set', isNegated, ranges }
}

/** Goes back to the last star only: an earlier one never needs to take more. */
function matches(tokens: readonly Token[], text: readonly string[]): boolean {
  let token = 0
  let at = 0
  let star = -1
  let starAt = 0
  while (at < text.length) {
    const now = tokens[token]
    if (now?.kind === 'any') {
      star = token++
      starAt = at
    } else if (now !== undefined && takes(now, text[at] ?? '')) {
      token++
      at++
    } else if (star !== -1) {
      token = star + 1
      at = ++starAt
    } else return false
  }
  while (tokens[token]?.kind === 'any') token++
  return token === tokens.length
}

function takes(token: Token, character: string): boolean {
  switch (token.kind) {
    case 'text':
      return token.text === character
    case 'set':
      return token.ranges.some(([first, last]) => character >= first && character <= last) !== token.isNegated
    default:
      return true
  }
}
