import { describe, expect, it } from 'vitest'
import { isTextList, parseJson } from '../../src/kit/index.js'

describe('a message that anybody may have written', () => {
  it('is its value', () => {
    expect(parseJson('["a",{"b":1}]')).toEqual(['a', { b: 1 }])
  })

  it.each(['', 'garbage', '{"a":', '\u0000', "{'a':1}"])('is nothing where it is no JSON: %j', (text) => {
    expect(parseJson(text)).toBeUndefined()
  })

  it('is a list of texts only if each of its items is one', () => {
    expect(isTextList(['a', 'b'])).toBe(true)
    for (const other of [['a', 1], 'ab', { length: 1 }, null, undefined])
      expect(isTextList(other)).toBe(false)
  })
})
