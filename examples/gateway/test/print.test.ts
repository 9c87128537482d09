import { existsSync } from 'node:fs'
import { expect, it, vi } from 'vitest'
import { printPointers } from '../src/demo/print.js'

it('points newcomers at files that exist', () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  printPointers(false)
  const text = log.mock.calls.flat().join('\n')
  log.mockRestore()
  const files = text.match(/[\w./-]+\.(?:md|ts)\b/g) ?? []
  expect(files).toHaveLength(4)
  const missing = files.filter((file) => !existsSync(new URL(`../../../${file}`, import.meta.url)))
  expect(missing).toEqual([])
})
