import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { everyPeer, type Project, packages, project } from './harness/index.js'

const names = packages.map(({ name }) => name)

/** Without `./testing`, which imports vitest, an ES module that cannot be required. */
const entries = packages.flatMap((each) => each.entries).filter((entry) => !entry.endsWith('/testing'))

describe('in a project with all that adapters adapt', () => {
  let app: Project
  beforeAll(async () => {
    app = await project('every-peer', { dependencies: everyPeer })
  })

  it('every entry gives the same names to import and to require, also in one process', async () => {
    const { value } = await app.run(
      `import { createRequire } from 'node:module'
      const require = createRequire(import.meta.url)
      const list = (m) => Object.keys(m).filter((name) => name !== 'default' && name !== 'module.exports').sort()
      const all = {}
      for (const entry of ${JSON.stringify(entries)}) {
        all[entry] = { imported: list(await import(entry)), required: list(require(entry)) }
      }
      console.log(JSON.stringify(all))`,
    )
    const all = value as Record<string, { imported: string[]; required: string[] }>
    expect(Object.keys(all)).toEqual(entries)
    for (const [entry, { imported, required }] of Object.entries(all)) {
      expect(imported, entry).not.toEqual([])
      expect(required, entry).toEqual(imported)
    }
  })

  it('an error of either form bears the mark of the family and its own name; entries of a form share classes', async () => {
    const { value } = await app.run(
      `import { createRequire } from 'node:module'
      import * as imported from '@evenkeel/core'
      import * as importedKeyValue from '@evenkeel/core/key-value'
      const require = createRequire(import.meta.url)
      const required = require('@evenkeel/core')
      const error = new required.InvalidOptionError('ttl', 'a duration', 'x')
      const store = new (require('@evenkeel/core/key-value').MemoryKeyValueStore)({ maxEntries: 1, maxBytes: 10 })
      console.log(JSON.stringify({
        marked: [error, new imported.InvalidOptionError('a', 'b', 'c')].map((each) => Symbol.for('evenkeel.error') in each),
        names: [error.name, error.constructor.name],
        oneForm: [store instanceof required.MemoryKeyValueStore, importedKeyValue.MemoryKeyValueStore === imported.MemoryKeyValueStore],
      }))`,
    )
    expect(value).toEqual({
      marked: [true, true],
      names: ['InvalidOptionError', 'InvalidOptionError'],
      oneForm: [true, true],
    })
  })

  it('a file of tests may import every ./testing', async () => {
    const testing = packages.flatMap((each) => each.entries).filter((entry) => entry.endsWith('/testing'))
    const file = app.write(
      'testing.test.mjs',
      `import { expect, it } from 'vitest'
      it.each(${JSON.stringify(testing)})('%s', async (entry) => {
        expect(Object.keys(await import(entry))).not.toEqual([])
      })`,
    )
    const vitest = join(app.folder, 'node_modules/vitest/vitest.mjs')
    const { stdout } = await app.node([vitest, 'run', '--root', app.folder, '--reporter', 'json', file])
    const report = JSON.parse(stdout) as { numPassedTests: number; numFailedTests: number }
    expect(report).toMatchObject({ numPassedTests: testing.length, numFailedTests: 0 })
  })
})

describe('in a project without anything else', () => {
  let app: Project
  beforeAll(async () => {
    app = await project('alone')
  })

  it.each(names)('promise 7: importing or requiring %s starts nothing and reads nothing', async (name) => {
    const look = (load: string) => `
      const read = new Set()
      process.env = new Proxy(process.env, { get: (env, name) => (read.add(name), env[name]) })
      ${load}
      // Node itself looks at a few variables while it loads a module.
      const variables = [...read].filter((name) => !/^(WATCH_REPORT_DEPENDENCIES|NODE_)/.test(String(name)))
      const resources = process.getActiveResourcesInfo().filter((name) => /Timeout|Immediate|TCP|DNS|GetAddr/.test(name))
      console.log(JSON.stringify([resources, variables]))`
    const imported = await app.run(look(`await import('${name}')`))
    const required = await app.run(look(`require('${name}')`), { form: 'cjs' })
    expect([imported.value, required.value]).toEqual([
      [[], []],
      [[], []],
    ])
  })

  it('a connection without a client library says what to install', async () => {
    const { value } = await app.run(
      `import { connect } from '@evenkeel/core'
      console.log(JSON.stringify(await connect({ url: 'redis://127.0.0.1:1', library: 'ioredis' }).catch((error) => [error.code, error.message])))`,
    )
    expect(value).toEqual([expect.any(String), expect.stringMatching(/npm install/)])
  })

  it('packs no sources, tests or configuration', () => {
    for (const { name } of packages) {
      const files = readdirSync(join(app.folder, 'node_modules', name)).sort()
      const published = [
        'CHANGELOG.md',
        'LICENSE',
        'README.md',
        ...(name === 'evenkeel' ? ['bin'] : []),
        'dist',
        ...(name === 'evenkeel' ? [] : ['docs']),
        'package.json',
      ]
      expect(files.filter((file) => file !== 'node_modules')).toEqual(published)
    }
  })
})
