import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { sizeOf } from '../tooling/sizes.mjs'
import { packages } from './harness/packages.js'

const libraries = packages.filter(({ name }) => name.startsWith('@evenkeel/'))

it.each(libraries)('$name is as large as its README says', async ({ folder }) => {
  const readme = readFileSync(join(folder, 'README.md'), 'utf8')
  const said = Number(/Bundled, minified and gzipped: (\d+) KiB/.exec(readme)?.[1])
  const { atImport } = await sizeOf(folder)
  // A tenth more or less: what a bundler or a dependency's next patch may change.
  expect(atImport / 1_024).toBeGreaterThan(said * 0.9)
  expect(atImport / 1_024).toBeLessThan(said * 1.1)
})
