import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { slowExpressions, slowExpressionsOf } from './regular-expressions.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Expressions that are slow and still there; none may be added, and none is allowed in core. */
const known = new Set([
  'agent-memory /\\{([^}]*)\\}:c$/',
  'agent-memory /\\{([^}]*)\\}:i$/',
  'cli /\\/+$/',
  'decoder-pool /\\.+$/',
  'decoder-pool /\\/+$/',
  'decoder-pool /^event:\\s*(.*)$/',
  'llm-response-cache /([^\\r\\n][\\s\\S]*?)(?:\\r\\n|\\n|\\r(?!\\n)){2}/g',
  'llm-response-cache /[.!?:;\\n•-]\\s*["\'“(]*$/',
  'llm-response-cache /\\s*\\S+|\\s+$/g',
  'llm-response-cache /```[^\\n]*\\n?([\\s\\S]*?)(?:```|$)/g',
  'rate-limiter /([\\d.]+)(h|ms|m|us|µs|s)/g',
])

describe('regular expressions', () => {
  it.each(readdirSync(`${root}packages`))('of %s take time in proportion to the text', (name) => {
    const slow = slowExpressions(root, `packages/${name}/src`).filter(
      ({ source }) => !known.has(`${name} ${source}`),
    )
    expect(slow).toEqual([])
  })

  it.each([
    ['const a = /\\/+$/', 'polynomial'],
    ['text.replace(/(a+)+b/g, "")', 'exponential'],
    ['new RegExp("\\\\s+$", "m")', 'polynomial'],
    ['const fine = /^\\d+$/', undefined],
    ['const fine = /a+b?/', undefined],
  ])('%s is judged as what it is', (text, growth) => {
    expect(slowExpressionsOf('sample.ts', text)[0]?.growth).toBe(growth)
  })
})
