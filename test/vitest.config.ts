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

/** Milliseconds after which a hanging test is ended. It is no test's bound: a busy machine is several times slower. */
const testTimeout = 180_000

/** How long `expect.poll` waits. A busy machine can stand still for longer than its default, which is a second. */
const polls = { poll: { timeout: 20_000 } }

/** Chaos tests of packages that check deadlines of milliseconds against the clock; those of topologies do not. */
const deadlines = {
  include: ['packages/*/test/*.chaos.test.ts'],
  exclude: ['packages/core/test/topologies.chaos.test.ts'],
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
          testTimeout,
          hookTimeout: testTimeout,
          expect: polls,
          // Twice the processor cores of a small machine: half of the files wait for servers at any time.
          maxWorkers: 4,
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Tests with real faults and many processes: three files at a time, after the others.
        ...shared,
        test: {
          name: 'chaos',
          root,
          include: [
            'packages/*/test/*/**/*.chaos.test.ts',
            ...['examples/*/test/**/*.chaos.test.ts', 'test/**/*.chaos.test.ts', ...deadlines.exclude],
          ],
          exclude: ['**/node_modules/**', '**/dist/**'],
          testTimeout,
          hookTimeout: testTimeout,
          expect: polls,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        // One file at a time, with nothing beside it.
        ...shared,
        test: {
          name: 'deadlines',
          root,
          ...deadlines,
          testTimeout,
          hookTimeout: testTimeout,
          expect: polls,
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
