import { beforeAll, describe, expect, it } from 'vitest'
import { type Project, packages, project } from './harness/index.js'

/** The entries that load nothing which only some users have; `./testing` is for a test runner. */
const names = packages.map(({ name }) => name)

let app: Project

beforeAll(async () => {
  app = await project('entries')
})

const exported = `Object.keys(m).filter((name) => name !== 'default' && name !== 'module.exports').sort()`

describe('in an empty project', () => {
  it.each(names)('%s gives the same names to import and to require, also in one process', async (name) => {
    const outcome = await app.run(`
      import { createRequire } from 'node:module'
      const list = (m: object) => ${exported}
      const imported = list(await import('${name}'))
      const required = list(createRequire(import.meta.url)('${name}'))
      console.log(JSON.stringify({ imported, required }))`)
    const { imported, required } = outcome.value as { imported: string[]; required: string[] }
    expect(imported.length).toBeGreaterThan(0)
    expect(required).toEqual(imported)
  })
})
