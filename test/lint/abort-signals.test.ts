import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** The one file that may listen to a signal: it adds one listener for all followers, and removes it. */
const owner = 'core/src/kit/signals.ts'

it('signals of callers are followed by onAbort and linkSignals only, which leave no listener on a long-lived one', () => {
  const others = readdirSync(`${root}packages`, { recursive: true, encoding: 'utf8' })
    .filter((name) => /^[^/]+\/src\/.*\.ts$/.test(name) && name !== owner)
    .filter((name) => {
      const text = readFileSync(`${root}packages/${name}`, 'utf8')
      return /addEventListener\(\s*'abort'|AbortSignal\.any\(/.test(text)
    })
  expect(others).toEqual([])
})
