import { expect, it } from 'vitest'
import { packageSources } from './package-sources.js'

/** The one file that may listen to a signal: it adds one listener for all followers, and removes it. */
const owner = 'core/src/kit/signals.ts'

it('signals of callers are followed by onAbort and linkSignals only, which leave no listener on a long-lived one', () => {
  const listening = packageSources.filter(({ text }) =>
    /addEventListener\(\s*'abort'|AbortSignal\.any\(/.test(text),
  )
  expect(listening.map(({ name }) => name)).toEqual([owner])
})
