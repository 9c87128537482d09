import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../harness/packages.js'

/** A fenced block of TypeScript or JavaScript on a page. */
export interface Snippet {
  /** From the repository's root. */
  readonly page: string
  /** Its place among the snippets of its page, from 1. */
  readonly number: number
  readonly language: 'ts' | 'js'
  readonly code: string
  readonly marker: Marker
}

/**
 * What the comment above a snippet says:
 *
 *     <!-- snippet continues
 *     given
 *     const estimate = 400     what the reader's own program has
 *     then
 *     assert.equal(…)          what holds after it ran
 *     -->
 *
 * The first line may have `continues` (the snippet before it on the page belongs to it), `not run: reason` (it is
 * compiled), or `not checked: reason` (it is neither compiled nor run).
 */
export interface Marker {
  readonly continues: boolean
  readonly notRun?: string
  readonly notChecked?: string
  readonly given: string
  readonly then: string
}

const fence = /(?:^<!-- snippet((?:(?!-->)[^\n])*)(?:\n([\s\S]*?))?-->\n+)?^```(ts|js)\n([\s\S]*?)^```/gm

/** Every snippet of a page, in its order. */
export function snippetsOf(page: string): Snippet[] {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(fence)].map(([, flags = '', body = '', language, code = ''], index) => ({
    page,
    number: index + 1,
    language: language as 'ts' | 'js',
    code,
    marker: markerOf(flags, body, `${page}, snippet ${index + 1}`),
  }))
}

function markerOf(flags: string, body: string, where: string): Marker {
  const said = flags.trim()
  const [, notRun] = /^not run: (.+)$/.exec(said) ?? []
  const [, notChecked] = /^not checked: (.+)$/.exec(said) ?? []
  const continues = said === 'continues'
  if (said !== '' && !continues && notRun === undefined && notChecked === undefined) {
    throw new Error(`${where}: no such marker: ${said}`)
  }
  const [before = '', then = ''] = body.trimEnd().split(/^then$/m)
  const given = before.replace(/^given$/m, '')
  return {
    continues,
    given,
    then,
    ...(notRun === undefined ? {} : { notRun }),
    ...(notChecked === undefined ? {} : { notChecked }),
  }
}

/** A snippet as a program: with the snippets that it continues, and what the reader's own program has. */
export function programOf(snippet: Snippet, all: readonly Snippet[]): string {
  const parts = [`${snippet.marker.given}\n${snippet.code}`]
  for (let first = snippet; first.marker.continues; ) {
    const before = all[first.number - 2]
    if (before === undefined) throw new Error(`${first.page}: its first snippet continues nothing`)
    parts.unshift(`${before.marker.given}\n${before.code}`)
    first = before
  }
  const assertions = snippet.language === 'ts' ? "import assert from 'node:assert/strict'\n" : ''
  const isModule = snippet.language === 'ts' ? '\nexport {}\n' : ''
  return `${snippet.marker.then === '' ? '' : assertions}${parts.join('\n')}\n${snippet.marker.then}${isModule}`
}

/** Every page that readers see: the site's, the packages', the READMEs. */
export const documentation: readonly string[] = [
  'README.md',
  'CONTRIBUTING.md',
  ...markdownOf('skills'),
  ...markdownOf('docs'),
  ...readdirSync(join(root, 'packages')).flatMap((name) => [
    `packages/${name}/README.md`,
    ...markdownOf(`packages/${name}/docs`),
  ]),
  ...readdirSync(join(root, 'examples')).map((name) => `examples/${name}/README.md`),
].sort()

function markdownOf(folder: string): string[] {
  try {
    return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.md') && !/(^|[/\\])(node_modules|\.[a-z]+)[/\\]/.test(file))
      .map((file) => `${folder}/${file.replaceAll('\\', '/')}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
