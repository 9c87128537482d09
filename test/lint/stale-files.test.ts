import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { staleFiles } from '../tooling/stale-files.mjs'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-dist-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function write(files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}

const manifest = JSON.stringify({
  bin: { command: 'bin/command.js' },
  exports: {
    '.': {
      import: { types: './dist/index.d.ts', default: './dist/index.js' },
      require: { types: './dist/index.d.cts', default: './dist/index.cjs' },
    },
    './package.json': './package.json',
  },
})

const built = {
  'package.json': manifest,
  'bin/command.js': "#!/usr/bin/env node\nimport '../dist/bin.js'\n",
  'dist/bin.js': '',
  'dist/bin.d.ts': 'export {}',
  'dist/index.js': 'import { a } from "./chunk-A.js"\nconst later = () => import("./later-B.js")\n',
  'dist/index.js.map': '{}',
  'dist/index.cjs': 'const a = require("./chunk-A.cjs")',
  'dist/index.d.ts': "export { T } from './types-C.js'\ntype U = import('./types-D.js').U\n",
  'dist/index.d.cts': "export { T } from './types-C.cjs'\n",
  'dist/chunk-A.js': 'export {\n  a\n} from "./chunk-E.js"\n',
  'dist/chunk-A.cjs': '',
  'dist/chunk-E.js': '',
  'dist/later-B.js': '',
  'dist/types-C.d.ts': '',
  'dist/types-C.d.cts': '',
  'dist/types-D.d.ts': '',
  'dist/third-party-notices.txt': '',
}

it('a build holds nothing stale: entries, commands, and all that these name in any form', () => {
  write(built)
  expect(staleFiles(folder)).toEqual([])
})

it('what only stale files name is stale too, with its maps', () => {
  write(built)
  write({
    'dist/chunk-OLD.js': 'import "./chunk-OLDER.js"\nimport "./chunk-A.js"',
    'dist/chunk-OLD.js.map': '{}',
    'dist/chunk-OLDER.js': '',
    'dist/folder/old.d.ts': '',
  })
  const old = ['dist/chunk-OLD.js', 'dist/chunk-OLD.js.map', 'dist/chunk-OLDER.js', 'dist/folder/old.d.ts']
  expect(staleFiles(folder)).toEqual(old)
})

it('a package that is not built has none', () => {
  write({ 'package.json': manifest })
  expect(staleFiles(folder)).toEqual([])
})
