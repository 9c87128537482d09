import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { slowExpressions, slowExpressionsOf } from './regular-expressions.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

describe('regular expressions', () => {
  it.each(readdirSync(`${root}packages`))('of %s take time in proportion to the text', (name) => {
    expect(slowExpressions(root, `packages/${name}/src`)).toEqual([])
  })

  it.each([
    ['const a = /\\/+$/', 'polynomial'],
    ['text.replace(/(a+)+b/g, "")', 'exponential'],
    ['new RegExp("\\\\s+$", "m")', 'polynomial'],
    ['const part = String.raw`\\w+_\\w+`', 'polynomial'],
    ['const fine = /^\\d+$/', undefined],
    ['const fine = String.raw`C:\\nobody(`', undefined],
    ['const fine = /a+b?/', undefined],
  ])('%s is judged as what it is', (text, growth) => {
    expect(slowExpressionsOf('sample.ts', text)[0]?.growth).toBe(growth)
  })
})
