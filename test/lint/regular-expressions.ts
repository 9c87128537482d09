import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { analyse } from 'scslre'
import ts from 'typescript'

export interface SlowExpression {
  /** From the root of the repository. */
  readonly file: string
  readonly line: number
  readonly source: string
  /** How the time grows with the text. */
  readonly growth: 'exponential' | 'polynomial'
}

/**
 * Regular expressions of TypeScript sources whose time grows faster than the text that they search. The analysis is
 * scslre's, which eslint-plugin-regexp uses. It also reports `/x+$/`, which is tried again from each x.
 */
export function slowExpressions(root: string, folder: string): readonly SlowExpression[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .sort()
    .flatMap((name) => slowExpressionsOf(`${folder}/${name}`, readFileSync(join(root, folder, name), 'utf8')))
}

export function slowExpressionsOf(file: string, text: string): readonly SlowExpression[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ESNext, true)
  const found: SlowExpression[] = []
  const visit = (node: ts.Node): void => {
    const literal = expressionOf(node)
    const growth = literal && growthOf(literal)
    if (literal !== undefined && growth !== undefined) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      found.push({ file, line: line + 1, source: `/${literal.source}/${literal.flags}`, growth })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

interface Literal {
  readonly source: string
  readonly flags: string
}

/** A literal, `new RegExp('text', 'flags')`, or a `String.raw` of which an expression may be put together. */
function expressionOf(node: ts.Node): Literal | undefined {
  if (ts.isRegularExpressionLiteral(node)) {
    const end = node.text.lastIndexOf('/')
    return { source: node.text.slice(1, end), flags: node.text.slice(end + 1) }
  }
  if (ts.isTaggedTemplateExpression(node) && node.tag.getText() === 'String.raw') {
    const { template } = node
    if (!ts.isNoSubstitutionTemplateLiteral(template)) return undefined
    const source = template.getText().slice(1, -1)
    return isExpression(source) ? { source, flags: '' } : undefined
  }
  const isCall = ts.isNewExpression(node) || ts.isCallExpression(node)
  if (!isCall || node.expression.getText() !== 'RegExp') return undefined
  const [pattern, flags] = node.arguments ?? []
  if (pattern === undefined || !ts.isStringLiteralLike(pattern)) return undefined
  return {
    source: pattern.text,
    flags: flags !== undefined && ts.isStringLiteralLike(flags) ? flags.text : '',
  }
}

function isExpression(source: string): boolean {
  try {
    new RegExp(source)
    return true
  } catch {
    return false
  }
}

function growthOf(literal: Literal): SlowExpression['growth'] | undefined {
  const { reports } = analyse(literal, { assumeRejectingSuffix: false })
  if (reports.length === 0) return undefined
  return reports.some(({ exponential }) => exponential) ? 'exponential' : 'polynomial'
}
