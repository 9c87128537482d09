import { isRecord, type Json } from '../json.js'

export function parseObject(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Maximum number of members of a body: more would block the event loop for too long. */
const maxMembers = 200_000

/**
 * Parses a request's body, unless it is ambiguous: parsers disagree on a name that occurs twice in an object, and
 * JavaScript rounds a whole number beyond 2^53.
 */
export function parseRequest(text: string): Json | undefined {
  if (countOf(text, '":') > maxMembers) return undefined
  const value = parseObject(text)
  if (value === undefined) return undefined
  // A text of JSON.stringify, which all JavaScript SDKs send, has neither; any other text is scanned.
  return JSON.stringify(value) === text || isUnambiguous(text) ? value : undefined
}

function countOf(text: string, part: string): number {
  let count = 0
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + part.length)) {
    if (++count > maxMembers) break
  }
  return count
}

/** The text must be valid JSON. */
function isUnambiguous(text: string): boolean {
  const names: (Set<string> | undefined)[] = []
  const token = /"(?:[^"\\]|\\.)*"|[{}[\]]|-?\d[\d.eE+-]*/g
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [found] = match
    const first = found[0]
    if (first === '{') names.push(new Set())
    else if (first === '[') names.push(undefined)
    else if (first === '}' || first === ']') names.pop()
    else if (first !== '"') {
      if (/^-?\d+$/.test(found) && !Number.isSafeInteger(Number(found))) return false
    } else if (isName(text, token.lastIndex)) {
      const name: unknown = JSON.parse(found)
      const own = names.at(-1)
      if (own === undefined || own.has(String(name))) return false
      own.add(String(name))
    }
  }
  return true
}

/** Whether the string that ends at `at` is a member's name: a colon follows it. */
function isName(text: string, at: number): boolean {
  let next = at
  while (/\s/.test(text.charAt(next))) next++
  return text.charAt(next) === ':'
}
