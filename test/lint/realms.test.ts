import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
/** The one file that may ask for these classes: it also knows what another realm has made. */
const owner = 'core/src/kit/cross-realm.ts'

it('errors and promises are recognised by isError and isPromiseLike only, which hold in Jest too', () => {
  const others = readdirSync(`${root}packages`, { recursive: true, encoding: 'utf8' })
    // The command runs in a process of its own.
    .filter((name) => /^[^/]+\/src\/.*\.ts$/.test(name) && !name.startsWith('cli/') && name !== owner)
    .filter((name) =>
      /instanceof (?:Error|TypeError|RangeError|DOMException|Promise)\b/.test(
        readFileSync(`${root}packages/${name}`, 'utf8'),
      ),
    )
  expect(others).toEqual([])
})
