import { afterAll, describe, expect, it } from 'vitest'
import { createResponseCache } from '../src/index.js'

const cache = createResponseCache({ keys: { exclude: ['trace'] } })
afterAll(() => cache.close())
const request = { model: 'm', messages: [{ role: 'user', content: 'hi' }], temperature: 0 }

describe('why two requests miss each other', () => {
  it('they do not, where only what changes no answer differs', () => {
    const other = { ...request, user: 'u', stream: true, metadata: { a: 1 }, trace: 'x' }
    expect(cache.explain(request, JSON.stringify(other))).toEqual({
      equal: true,
      differences: [],
      ignored: ['$.user', '$.stream', '$.metadata', '$.trace'],
      bypassed: [],
    })
  })

  it.each([
    [{ ...request, model: 'n' }, '$.model', 'differ from character 0'],
    [{ ...request, temperature: 1 }, '$.temperature', 'another value'],
    [{ ...request, temperature: '0' }, '$.temperature', 'number and string'],
    [{ ...request, temperature: undefined }, '$.temperature', 'only in the first'],
    [{ ...request, seed: 1 }, '$.seed', 'only in the second'],
    [
      { ...request, messages: [{ role: 'user', content: 'ho' }] },
      '$.messages[0].content',
      'from character 1',
    ],
    [
      { ...request, messages: [...request.messages, { role: 'user' }] },
      '$.messages[1]',
      'only in the second',
    ],
  ])('by %j it is %s', (other, path, how) => {
    const { equal, differences } = cache.explain(request, other)
    expect(equal).toBe(false)
    expect(differences).toEqual([{ path, how: expect.stringContaining(how) }])
  })

  it('names what was put into a prompt without a thought for the cache, and shows no prompt', () => {
    const at = (content: string) => ({ ...request, messages: [{ role: 'system', content }] })
    const pairs = [
      ['Today is 2026-11-20, c4nary', 'Today is 2026-11-21, c4nary', 'a date'],
      ['id 6f1c1c52-9b4c-4d2e-8a62-000000000001', 'id 0a1c1c52-9b4c-4d2e-8a62-000000000001', 'a UUID'],
      ['now 1700000000', 'now 1700000001', 'a timestamp'],
    ] as const
    for (const [one, other, suspect] of pairs) {
      const told = cache.explain(at(one), at(other))
      expect(told.differences[0]?.how).toContain(suspect)
      expect(JSON.stringify(told)).not.toContain('c4nary')
    }
  })

  it('refuses what is no request', () => {
    expect(() => cache.explain('no json', {})).toThrow(expect.objectContaining({ field: 'a' }))
  })
})
