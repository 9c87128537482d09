/**
 * Finds the line of a mistake in a file, for the person who edits it. The parser that knows positions is loaded only
 * then: `JSON.parse` is faster, but the words of its errors differ between versions of Node.
 */
import type { ParseError } from 'jsonc-parser'

/** The line, from 1, where the text stops being JSON. */
export async function lineOfDamage(text: string): Promise<{ line: number; reason: string }> {
  const { parseTree, printParseErrorCode } = await import('jsonc-parser')
  const errors: ParseError[] = []
  parseTree(text, errors, { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false })
  const [first] = errors
  if (first === undefined) return { line: 1, reason: 'it is empty' }
  return { line: lineAt(text, first.offset), reason: words(printParseErrorCode(first.error)) }
}

/** The line, from 1, where a value begins. */
export async function lineOf(text: string, path: readonly (string | number)[]): Promise<number> {
  const { findNodeAtLocation, parseTree } = await import('jsonc-parser')
  const tree = parseTree(text)
  const node = tree && findNodeAtLocation(tree, [...path])
  return lineAt(text, node?.offset ?? 0)
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
}

/** `CommaExpected` as words: `comma expected`. */
function words(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase()
}
