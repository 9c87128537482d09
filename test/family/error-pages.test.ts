import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { errorCodes } from '../../packages/core/src/errors.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'docs/errors')

/** The text of every source file of the packages. */
const sources = readdirSync(join(root, 'packages')).flatMap((name) => {
  const source = join(root, 'packages', name, 'src')
  return readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(source, file), 'utf8'))
})

const found = (pattern: RegExp) => [
  ...new Set(sources.flatMap((text) => [...text.matchAll(pattern)].map(([, code = '']) => code))),
]

/** Core's codes are a list; each class of the other packages names its own. */
const codes = [...new Set([...errorCodes, ...found(/extends EvenkeelError<'([A-Z_]+)'>/g)])].sort()
/** Each `code` of a warning. Environment variables have names of the same form, but in other places. */
const warnings = found(/(?:code: |notify\([^)]*, )'(EVENKEEL_[A-Z_]+)'/g).sort()

const index = readFileSync(join(folder, 'index.md'), 'utf8')
const pages = readdirSync(folder)
  .filter((file) => file !== 'index.md')
  .map((file) => ({ file, text: readFileSync(join(folder, file), 'utf8') }))
const fileOf = (code: string) => `${code.toLowerCase().replaceAll('_', '-')}.md`

describe('the pages of the errors', () => {
  it('are one for each code, and no other', () => {
    expect(codes.length).toBeGreaterThan(40)
    expect(pages.map(({ file }) => file).sort()).toEqual(codes.map(fileOf).sort())
  })

  it.each(pages)('$file has its code as title, and says what happened and what to do', ({ file, text }) => {
    const [, code = ''] = /^# `([A-Z_]+)`\n/.exec(text) ?? []
    expect(fileOf(code)).toBe(file)
    for (const row of ['class', 'fields', 'was anything sent?', 'repeat the call?', 'over HTTP']) {
      expect(text).toMatch(new RegExp(`^\\| ${row.replace('?', '\\?')} \\| \\S`, 'm'))
    }
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading)
    expect(headings).toEqual(['When it is thrown', 'What to do', 'Related'])
  })

  it('are all linked from the index, with the class that the page names', () => {
    const rows = [...index.matchAll(/^\| \[`([A-Z_]+)`\]\(([a-z-]+\.md)\) \| `(\w+)` \|/gm)]
    expect([...new Set(rows.map(([, code = '']) => code))].sort()).toEqual(codes)
    for (const [, code = '', file = '', name = ''] of rows) {
      expect(file).toBe(fileOf(code))
      expect(pages.find((page) => page.file === file)?.text).toContain(`\`${name}\``)
    }
  })

  it('have beside them every code of a warning, and no other', () => {
    const listed = [...index.matchAll(/^\| `(EVENKEEL_[A-Z_]+)` \|/gm)].map(([, code = '']) => code)
    expect(listed.sort()).toEqual(warnings)
  })
})
