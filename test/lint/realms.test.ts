import { expect, it } from 'vitest'
import { librarySources } from './package-sources.js'

/** The one file that may ask for these classes: it also knows what another realm has made. */
const owner = 'core/src/kit/cross-realm.ts'

it('errors and promises are recognised by isError and isPromiseLike only, which hold in Jest too', () => {
  const asking = librarySources.filter(({ text }) =>
    /instanceof (?:Error|TypeError|RangeError|DOMException|Promise)\b/.test(text),
  )
  expect(asking.map(({ name }) => name)).toEqual([owner])
})
