import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { InvalidInputError, InvalidOptionError } from '../../src/index.js'
import { input, option, wholeNumber } from '../../src/kit/index.js'

interface Options {
  onOutage?: string
  maxEntries?: number
  ttl?: string
}
const names = { onOutage: true, maxEntries: true, ttl: true } as const

describe('checks of values', () => {
  it('give back what is right', () => {
    const fn = () => 1
    const list = [1]
    const object = { a: 1 }
    expect(option.integer('n', 3)).toBe(3)
    expect(option.integer('n', 0, { min: 0 })).toBe(0)
    expect(option.number('n', 0.5)).toBe(0.5)
    expect(option.duration('n', '2s')).toBe(2_000)
    expect(option.flag('n', false)).toBe(false)
    expect(option.text('n', 'ü🙂')).toBe('ü🙂')
    expect(option.oneOf('n', 'b', ['a', 'b'])).toBe('b')
    expect(option.fn('n', fn)).toBe(fn)
    expect(option.list('n', list)).toBe(list)
    expect(option.object('n', object)).toBe(object)
    expect(option.members('', object, { a: true })).toBe(object)
    expect(wholeNumber('n', 5, 1, 5)).toBe(5)
  })

  it.each<[string, (check: typeof option) => unknown]>([
    ['a fraction', (check) => check.integer('n', 1.5)],
    ['0 where it begins at 1', (check) => check.integer('n', 0)],
    ['NaN', (check) => check.integer('n', Number.NaN)],
    ['beyond what numbers hold exactly', (check) => check.integer('n', 2 ** 53)],
    ['text of digits', (check) => check.integer('n', '1')],
    ['a bigint', (check) => check.integer('n', 1n)],
    ['Infinity', (check) => check.number('n', Number.POSITIVE_INFINITY)],
    ['less than 0', (check) => check.number('n', -1)],
    ['more than a share', (check) => check.number('n', 1.1, { max: 1 })],
    ['an endless duration', (check) => check.duration('n', Number.POSITIVE_INFINITY)],
    ['a bare unit', (check) => check.duration('n', 's' as '1s')],
    ["'false'", (check) => check.flag('n', 'false')],
    ['0 for false', (check) => check.flag('n', 0)],
    ['empty text', (check) => check.text('n', '')],
    ['long text', (check) => check.text('n', 'x'.repeat(11), { max: 10 })],
    ['half of a surrogate pair', (check) => check.text('n', '\ud83d')],
    ['a String object', (check) => check.text('n', new String('x'))],
    ['none of the values', (check) => check.oneOf('n', 'toString', ['a', 'b'])],
    ['undefined', (check) => check.oneOf('n', undefined, ['a', 'b'])],
    ['no function', (check) => check.fn('n', {} as () => void)],
    ['no array', (check) => check.list('n', { length: 0 } as unknown as [])],
    ['an array', (check) => check.object('n', [])],
    ['null', (check) => check.object('n', null as unknown as object)],
  ])('refuse %s, and name the field', (_, check) => {
    expect(() => check(option)).toThrow(InvalidOptionError)
    expect(() => check(option)).toThrow(/^n: expected /)
    expect(() => check(input)).toThrow(InvalidInputError)
    expect(() => check(input)).toThrow(expect.objectContaining({ field: 'n', code: 'INVALID_INPUT' }))
  })

  it('say which bounds there are', () => {
    expect(() => option.integer('n', 9, { min: 2, max: 5 })).toThrow(
      'n: expected a whole number from 2 to 5, got 9',
    )
    expect(() => option.number('n', 9, { max: 1 })).toThrow('n: expected a number from 0 to 1, got 9')
    expect(() => option.number('n', -1)).toThrow('n: expected a number from 0, got -1')
    expect(() => option.oneOf('n', 'c', ['a', 'b'])).toThrow("n: expected one of 'a', 'b', got")
  })

  it('never repeat what was given as text', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 12 }), (secret) => {
        for (const check of [option.integer, option.flag, option.fn, option.members] as ((
          ...values: unknown[]
        ) => unknown)[]) {
          expect(() => check('n', `c4nary${secret}`, {})).toThrow(/^n: expected (?!.*c4nary)/s)
        }
      }),
    )
  })
})

describe('unknown members', () => {
  const check = (value: unknown, at = '') => option.members<Options>(at, value as Options, names)

  it.each([
    [{ onOutages: 'deny' }, "onOutages: expected no member of this name (did you mean 'onOutage'?)"],
    [{ maxentries: 1 }, "maxentries: expected no member of this name (did you mean 'maxEntries'?)"],
    [{ TTL: '1s' }, "TTL: expected no member of this name (did you mean 'ttl'?)"],
    [{ socket: {} }, 'socket: expected no member of this name, got an object'],
    // Properties that every object inherits are not members of the options.
    [{ constructor: 1 }, 'constructor: expected no member of this name, got 1'],
    [JSON.parse('{"__proto__": 1}'), '__proto__: expected no member of this name, got 1'],
  ])('of %j are refused, with the nearest name', (value, message) => {
    expect(() => check(value)).toThrow(message)
  })

  it('are named with the field that holds them', () => {
    expect(() => check({ tll: 1 }, 'cache')).toThrow(
      "cache.tll: expected no member of this name (did you mean 'ttl'?)",
    )
    expect(() => option.members<object>('cache', { x: 1 }, {})).toThrow(
      'cache.x: expected no member of this name, got 1',
    )
  })

  it.each([null, undefined, 'redis://h', 7, []])('need an object: %j is none', (value) => {
    expect(() => check(value)).toThrow(/^options: expected an object, got /)
    expect(() => check(value, 'cache')).toThrow(/^cache: expected an object, got /)
  })

  it('are looked for among the own ones alone, so that an object of a class may be given', () => {
    class Given implements Options {
      ttl = '1s'
      helper(): void {}
    }
    expect(() => check(new Given())).not.toThrow()
    expect(() => check({ ttl: undefined })).not.toThrow()
  })
})
