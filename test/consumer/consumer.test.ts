import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** What a stranger gets: every package packed as for npm, installed in an empty project. */
const root = fileURLToPath(new URL('../..', import.meta.url))
const folders = readdirSync(join(root, 'packages'))
const packages = folders.map((folder) => {
  const manifest = JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8'))
  const subpaths = Object.keys(manifest.exports).filter((path) => path !== './package.json')
  return { folder, name: manifest.name as string, subpaths }
})
/** `./testing` needs vitest, and adapters the framework they adapt: optional peers that this project lacks. */
const specifiers = packages.map(({ name }) => name)
const allSpecifiers = packages.flatMap(({ name, subpaths }) => subpaths.map((path) => join(name, path)))

let project: string

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'evenkeel-consumer-'))
  const tarballs = join(project, 'tarballs')
  mkdirSync(tarballs)
  for (const { folder } of packages) {
    run('pnpm', ['pack', '--pack-destination', tarballs], join(root, 'packages', folder))
  }
  const files = readdirSync(tarballs).map((file) => `file:tarballs/${file}`)
  const dependencies = Object.fromEntries(files.map((file) => [nameIn(file), file]))
  // Among themselves the packages ask for versions that are not on npm yet.
  const manifest = { name: 'consumer', private: true, dependencies, overrides: dependencies }
  writeFileSync(join(project, 'package.json'), JSON.stringify(manifest))
  run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--omit=peer'], project)
}, 180_000)

afterAll(() => rmSync(project, { recursive: true, force: true }))

function nameIn(file: string): string {
  // A version follows the name: one package's name is the beginning of all others'.
  const found = packages.find(({ name }) =>
    new RegExp(`/${name.replace('@', '').replace('/', '-')}-\\d`).test(file),
  )
  if (found === undefined) throw new Error(`${file} belongs to no package`)
  return found.name
}

function run(command: string, args: string[], cwd: string): string {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}\n${stderr}`)
  }
}

function node(script: string, type: 'module' | 'commonjs'): string {
  return run(process.execPath, [`--input-type=${type}`, '-e', script], project).trim()
}

describe('packed and installed in an empty project', () => {
  it.each(specifiers)('%s gives the same names to import and to require', (specifier) => {
    const names = `Object.keys(m).filter((k) => k !== 'default' && k !== 'module.exports').sort().join()`
    const imported = node(`const m = await import('${specifier}'); console.log(${names})`, 'module')
    const required = node(`const m = require('${specifier}'); console.log(${names})`, 'commonjs')
    expect(imported).not.toBe('')
    expect(required).toBe(imported)
  })

  it.each(specifiers)('promise 7: importing %s starts nothing and reads nothing', (specifier) => {
    // Node itself looks at a few variables while it loads a module.
    const script = `
      const read = new Set()
      process.env = new Proxy(process.env, { get: (env, name) => (read.add(name), env[name]) })
      await import('${specifier}')
      const variables = [...read].filter((name) => !/^(WATCH_REPORT_DEPENDENCIES|NODE_)/.test(name))
      const resources = process.getActiveResourcesInfo().filter((name) => /Timeout|Immediate|TCP|DNS|GetAddr/.test(name))
      console.log(JSON.stringify([resources, variables]))`
    expect(JSON.parse(node(script, 'module'))).toEqual([[], []])
  })

  it('packs no sources, tests or configuration', () => {
    for (const { name } of packages) {
      const files = readdirSync(join(project, 'node_modules', name)).sort()
      expect(files).toEqual(expect.arrayContaining(['README.md', 'dist', 'package.json']))
      expect(files).not.toContain('src')
      expect(files).not.toContain('test')
    }
  })

  it.each([
    ['node16', 'Node16'],
    ['bundler', 'ESNext'],
  ])('compiles under %s resolution', (moduleResolution, module) => {
    const lines = allSpecifiers.map((specifier, index) => `import * as m${index} from '${specifier}'`)
    const uses = allSpecifiers.map((_, index) => `m${index}`).join(', ')
    const file = `use-${moduleResolution}.mts`
    writeFileSync(join(project, file), `${lines.join('\n')}\nexport const all = [${uses}]\n`)
    const typeRoots = [join(root, 'node_modules/@types'), join(root, 'test/node_modules/@types')]
    const tsconfig = {
      compilerOptions: {
        ...{
          strict: true,
          noEmit: true,
          skipLibCheck: true,
          target: 'ES2022',
          lib: ['ES2023', 'ESNext.Disposable'],
        },
        ...{ module, moduleResolution, types: ['node'], typeRoots },
        paths: { vitest: [join(root, 'node_modules/vitest')] },
      },
      files: [file],
    }
    const config = join(project, `tsconfig.${moduleResolution}.json`)
    writeFileSync(config, JSON.stringify(tsconfig))
    run(join(root, 'node_modules/.bin/tsc'), ['-p', config], project)
  })
})
