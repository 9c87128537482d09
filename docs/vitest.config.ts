import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The built site, and the examples' pages, in a browser: `pnpm docs:look`, after `pnpm docs:build`. */
export default defineConfig({
  test: {
    name: 'site',
    root,
    include: ['docs/test/**/*.test.ts', 'examples/*/test/**/*.browser.test.ts'],
    reporters: process.env.CI ? ['default', 'json'] : ['default'],
    outputFile: process.env.CI ? { json: `${root}/test/.report/site.json` } : {},
    maxConcurrency: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
