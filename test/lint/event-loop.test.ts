import { expect, it } from 'vitest'
import { librarySources, type Source } from './package-sources.js'

/** The one file that may take them from the globals. */
const owner = 'core/src/kit/event-loop.ts'

/** The functions that a source calls without importing them. */
function globalsIn({ text }: Source): readonly string[] {
  const imports = text.match(/^import [^;]*?from '[^']+'$/gm) ?? []
  return ['nextTick', 'setImmediate', 'queueMicrotask'].filter(
    (name) =>
      new RegExp(`(?:process|globalThis)\\.${name}\\b`).test(text) ||
      (new RegExp(`\\b${name}\\(`).test(text) && !imports.some((one) => one.includes(name))),
  )
}

it('the end of a turn is waited for by the functions of the kit only, which fake timers do not stop', () => {
  const calling = librarySources.filter((source) => globalsIn(source).length > 0)
  expect(calling.map(({ name }) => name)).toEqual([owner])
})

it.each([
  ["import { a } from 'b'\n\nprocess.nextTick(done)", ['nextTick']],
  ['setImmediate(done)', ['setImmediate']],
  ["import {\n  setImmediate,\n} from '@evenkeel/core/kit'\n\nsetImmediate(done)", []],
])('finds them in %j', (text, found) => {
  expect(globalsIn({ name: 'a.ts', text })).toEqual(found)
})
