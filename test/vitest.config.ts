import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { luaAsText } from './tooling/lua.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const report = process.env.CI ? { json: `${root}/test/.report/vitest.json` } : {}

const shared = {
  plugins: [luaAsText()],
  // Packages are tested from their sources; only the examples' tests use what was built (and test/outside).
  resolve: { conditions: ['@evenkeel/source'] },
  // Vitest passes these on to Node: with 'import' among them, a CommonJS dependency would require ES modules.
  ssr: { resolve: { conditions: ['@evenkeel/source', 'node'] } },
}

export default defineConfig({
  test: {
    root,
    reporters: process.env.CI ? ['default', 'json'] : ['default'],
    outputFile: report,
    projects: [
      {
        ...shared,
        test: {
          name: 'tests',
          root,
          include: ['{packages,examples}/*/test/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: [
            '**/node_modules/**',
            '**/dist/**',
            '**/*.chaos.test.ts',
            '**/*.browser.test.ts',
            'test/outside/**',
          ],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Tests with real faults, many processes and deadlines: after the others, so that no file computes beside three.
        ...shared,
        test: {
          name: 'chaos',
          root,
          include: ['{packages,examples}/*/test/**/*.chaos.test.ts', 'test/**/*.chaos.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
