import { readFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { errorCodes } from '../src/errors.js'
import {
  CommandTimeoutError,
  EvenkeelError,
  InvalidInputError,
  InvalidOptionError,
  ReplyError,
  UnavailableError,
} from '../src/index.js'

describe('errors', () => {
  it('are all in docs/errors, and nothing else is', () => {
    const page = readFileSync(new URL('../../../docs/errors/index.md', import.meta.url), 'utf8')
    const section = page.split('## @evenkeel/core')[1]?.split('\n## ')[0] ?? ''
    const documented = [...section.matchAll(/^\| \[`([A-Z_]+)`\]/gm)].map(([, code]) => code)
    expect(documented.sort()).toEqual([...errorCodes].sort())
  })

  it('are recognised across two copies of the package, with isInstance and with instanceof', async () => {
    vi.resetModules()
    const other = await import('../src/index.js')
    expect(other.EvenkeelError).not.toBe(EvenkeelError)
    const timeout = new other.CommandTimeoutError('GET', 5)
    for (const theirs of [EvenkeelError, UnavailableError, CommandTimeoutError]) {
      expect(theirs.isInstance(timeout)).toBe(true)
      expect(timeout).toBeInstanceOf(theirs)
    }
    expect(new other.UnavailableError('OVERLOADED', 'm', 'not-sent')).not.toBeInstanceOf(CommandTimeoutError)
  })

  it('are recognised across two copies that a minifier has given equal names', async () => {
    vi.resetModules()
    const other = await import('../src/index.js')
    for (const one of [other.UnavailableError, other.InvalidOptionError, other.EvenkeelError])
      Object.defineProperty(one, 'name', { value: 'InvalidInputError' })
    const down = new other.UnavailableError('CONNECTION_DOWN', 'm', 'not-sent')
    expect(down).toBeInstanceOf(UnavailableError)
    expect(down).toBeInstanceOf(EvenkeelError)
    expect(down).not.toBeInstanceOf(InvalidInputError)
  })

  it('are no instances of a class of the host with the name of one of ours', () => {
    const host = { UnavailableError: class UnavailableError extends EvenkeelError<'OWN'> {} }
    const down = new UnavailableError('CONNECTION_DOWN', 'm', 'not-sent')
    expect(down).not.toBeInstanceOf(host.UnavailableError)
    expect(new host.UnavailableError('OWN', 'm')).not.toBeInstanceOf(UnavailableError)
  })

  it('are of their own class only, whatever else is an error of ours', () => {
    const option = new InvalidOptionError('a', 'b', 'c')
    for (const other of [UnavailableError, CommandTimeoutError, ReplyError]) {
      expect(other.isInstance(option)).toBe(false)
      expect(option).not.toBeInstanceOf(other)
    }
    class Own extends EvenkeelError<'OWN'> {}
    expect(new Own('OWN', 'm')).toBeInstanceOf(Own)
    expect(new Own('OWN', 'm')).toBeInstanceOf(EvenkeelError)
    expect(option).not.toBeInstanceOf(Own)
    for (const none of [new Error('not ours'), undefined, null, 'text', {}, { code: 'OWN' }]) {
      expect(EvenkeelError.isInstance(none)).toBe(false)
      expect(none instanceof EvenkeelError).toBe(false)
    }
  })

  it('promise 10: show of an object only what kind it is', () => {
    const secret = { password: 'c4nary' }
    expect(new InvalidOptionError('tls', 'a boolean', secret).message).toBe(
      'tls: expected a boolean, got an object (Object)',
    )
    expect(new InvalidOptionError('x', 'y', 'z'.repeat(100)).message.length).toBeLessThan(100)
  })
})
