import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { meaningOf } from '../../src/guard/error-meaning.js'
import { isError, isPromiseLike } from '../../src/kit/index.js'

/** Makes a value as Node itself makes it for a test in Jest: by classes of another context. */
const foreign = (expression: string): unknown => runInNewContext(expression)

describe('what another realm has made', () => {
  it.each(['new Error("x")', 'new TypeError("x")', 'new AggregateError([], "x")'])(
    'is an error: %s',
    (made) => {
      const error = foreign(made)
      expect(error).not.toBeInstanceOf(Error)
      expect(isError(error)).toBe(true)
    },
  )

  it('is no error if it only looks like one', () => {
    expect([{ message: 'x', name: 'Error' }, 'Error', null, undefined].map(isError)).toEqual(
      Array(4).fill(false),
    )
    expect(isError(new DOMException('x', 'AbortError'))).toBe(true)
  })

  it('tells an outage from a mistake', () => {
    const refused = foreign('Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })')
    expect(meaningOf(refused)).toBe('unavailable')
    expect(meaningOf(foreign('new TypeError("The argument must be a string")'))).toBe('caller')
    expect(meaningOf(foreign('new Error("LOADING Redis is loading the dataset in memory")'))).toBe(
      'unavailable',
    )
  })

  it('is a promise, as one of another library is', () => {
    expect(isPromiseLike(foreign('Promise.resolve(1)'))).toBe(true)
    expect(isPromiseLike(foreign('({ then() {} })'))).toBe(true)
    expect([foreign('({ then: 1 })'), 'then', null, undefined].map(isPromiseLike)).toEqual(
      Array(4).fill(false),
    )
  })
})
