import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { errorCodes } from '../src/errors.js'
import { EvenkeelError, InvalidOptionError, UnavailableError } from '../src/index.js'

describe('errors', () => {
  it('are all in docs/errors.md, and nothing else is', () => {
    const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
    const section = page.split('## @evenkeel/core')[1]?.split('\n## ')[0] ?? ''
    const documented = [...section.matchAll(/^### `([A-Z_]+)`/gm)].map(([, code]) => code)
    expect(documented.sort()).toEqual([...errorCodes].sort())
  })

  it('are recognised across two copies of the package', () => {
    const brand = Symbol.for('evenkeel.error')
    expect(EvenkeelError.isInstance({ [brand]: true })).toBe(true)
    expect(UnavailableError.isInstance({ [brand]: true, outcome: 'unknown' })).toBe(true)
    expect(UnavailableError.isInstance(new InvalidOptionError('a', 'b', 'c'))).toBe(false)
    expect(EvenkeelError.isInstance(new Error('not ours'))).toBe(false)
  })

  it('promise 10: show of an object only what kind it is', () => {
    const secret = { password: 'c4nary' }
    expect(new InvalidOptionError('tls', 'a boolean', secret).message).toBe(
      'tls: expected a boolean, got an object (Object)',
    )
    expect(new InvalidOptionError('x', 'y', 'z'.repeat(100)).message.length).toBeLessThan(100)
  })
})
