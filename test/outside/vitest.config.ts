import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Tests on packed tarballs: nothing is resolved from our sources, and every script runs in a process of its own. */
export default defineConfig({
  test: {
    name: 'outside',
    root,
    include: ['test/outside/**/*.test.ts'],
    globalSetup: ['test/outside/harness/pack.ts'],
    reporters: process.env.CI ? ['default', 'json'] : ['default'],
    outputFile: process.env.CI ? { json: `${root}/test/.report/outside.json` } : {},
    testTimeout: 300_000,
    // The first test of a project on a machine waits for npm.
    hookTimeout: 600_000,
    maxWorkers: 2,
  },
})
