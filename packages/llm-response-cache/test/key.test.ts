import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalHash, type KeyRules, UnkeyableError } from '../src/index.js'
import { endpointFor, requestKey } from '../src/key/request-key.js'

const chat = (body: object, path = '/v1/chat/completions') => ask(JSON.stringify(body), { path })
const ask = (
  body: unknown,
  { path = '/v1/chat/completions', method = 'POST', headers = {}, rules = {} as KeyRules } = {},
) => {
  const at = { url: new URL(`https://api.example.com${path}`), method, headers: new Headers(headers) }
  const endpoint = endpointFor(at, rules)
  if (typeof endpoint === 'string') return { cacheable: false as const, reason: endpoint }
  return requestKey({ ...at, endpoint, body }, rules)
}
const keyOf = (body: object) => {
  const found = chat(body)
  return found.cacheable ? found.key : found.reason
}

describe('canonical keys', () => {
  it('do not depend on the order of members', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const turned = Object.fromEntries(Object.entries(value).reverse())
        expect(canonicalHash(turned)).toBe(canonicalHash(value))
      }),
    )
  })

  it('differ when values differ', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.jsonValue({ maxDepth: 3 }), (one, other) => {
        fc.pre(JSON.stringify(one) !== JSON.stringify(other))
        const same = canonicalHash(one) === canonicalHash(other)
        if (same) expect(sorted(one)).toEqual(sorted(other))
      }),
    )
  })

  it.each([
    [1, '1'],
    [null, undefined],
    [['a', 'b'], ['ab']],
    [
      [['a'], 'b'],
      ['a', ['b']],
    ],
    [{ a: 'b:1' }, { 'a:1': 'b' }],
    ['é', 'e\u0301'],
    ['A', 'a'],
    ['\ud800', '\ud801'],
    [[], {}],
    [false, 0],
    [new Date(0), '1970-01-01T00:00:00.000Z'],
    [Buffer.from('a'), 'a'],
  ])('tell %j from %j', (one, other) => {
    expect(canonicalHash(one)).not.toBe(canonicalHash(other))
  })

  it.each([
    [1, 1.0],
    [-0, 0],
    [{ a: 1, b: undefined }, { a: 1 }],
    [new Uint8Array([1, 2]), Buffer.from([1, 2])],
  ])('take %j and %j for the same', (one, other) => {
    expect(canonicalHash(one)).toBe(canonicalHash(other))
  })

  it('refuse what has no place in a key', () => {
    const cycle: { self?: object } = {}
    cycle.self = cycle
    for (const wrong of [() => {}, Symbol('s'), Number.NaN, Number.POSITIVE_INFINITY, new Map(), cycle]) {
      expect(() => canonicalHash(wrong)).toThrow(UnkeyableError)
    }
  })
})

describe('the key of a request', () => {
  const request = { model: 'm', messages: [{ role: 'user', content: 'hi' }], temperature: 0 }

  it('leaves out what does not change the answer', () => {
    const noise = {
      user: 'u',
      metadata: { a: 1 },
      service_tier: 'flex',
      stream_options: { include_usage: true },
    }
    expect(keyOf({ ...request, ...noise })).toBe(keyOf(request))
  })

  it.each([{ temperature: 1 }, { model: 'n' }, { seed: 1 }, { tools: [] }, { store: true }, { top_k: 1 }])(
    'counts %j',
    (change) => {
      expect(keyOf({ ...request, ...change })).not.toBe(keyOf(request))
    },
  )

  it.each([
    [{ ...request, previous_response_id: 'r' }, 'stateful'],
    [{ ...request, background: true }, 'stateful'],
    [{ ...request, tools: [{ type: 'web_search_preview' }] }, 'side-effects'],
    [{ ...request, something_new: 1 }, 'unknown-field'],
  ])('is not made for %j', (body, reason) => {
    expect(chat(body)).toMatchObject({ cacheable: false, reason })
  })

  it.each([
    [
      'a file by its id',
      { ...request, messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'f' } }] }] },
      'files',
    ],
    ['a container', { ...request, container: 'c' }, 'stateful'],
  ])('is not made for %s', (_, body, reason) => {
    expect(chat(body)).toMatchObject({ cacheable: false, reason })
  })

  it('is one for a stream and an object, whose answers can be turned into each other', () => {
    expect(keyOf({ ...request, stream: true })).toBe(keyOf(request))
    const legacy = (stream: boolean) =>
      ask(JSON.stringify({ model: 'm', prompt: 'hi', stream }), { path: '/v1/completions' })
    expect(legacy(true)).not.toEqual(legacy(false))
  })

  it('follows the rules of a host', () => {
    const keyWith = (body: object, rules: KeyRules, headers = {}) => {
      const found = ask(JSON.stringify(body), { rules, headers })
      return found.cacheable ? found.key : found.reason
    }
    expect(keyWith({ ...request, trace: 1 }, { exclude: ['trace'] })).toBe(keyWith(request, {}))
    expect(keyWith({ ...request, user: 'a' }, { include: ['user'] })).not.toBe(keyWith(request, {}))
    expect(keyWith(request, { salt: 'v2' })).not.toBe(keyWith(request, {}))
    const seen = { headers: ['x-variant'] }
    expect(keyWith(request, seen, { 'x-variant': 'a' })).not.toBe(
      keyWith(request, seen, { 'x-variant': 'b' }),
    )
    const search = { ...request, tools: [{ type: 'web_search' }] }
    expect(keyWith(search, { allowTools: ['web_search'] })).not.toBe('side-effects')
    expect(ask('{}', { path: '/v1/images/generations' })).toEqual({ cacheable: false, reason: 'endpoint' })
    expect(ask('{"prompt":"x"}', { path: '/v1/images/generations', rules: { images: true } })).toMatchObject({
      cacheable: true,
    })
  })

  it('counts made-up ids by their order, and a host’s own as they are', () => {
    const talk = (call: string, result: string) => ({
      ...request,
      messages: [
        {
          role: 'assistant',
          tool_calls: [{ id: call, type: 'function', function: { name: 'f', arguments: '{}' } }],
        },
        { role: 'tool', tool_call_id: result, content: 'x' },
      ],
    })
    expect(keyOf(talk('call_a', 'call_a'))).toBe(keyOf(talk('call_b', 'call_b')))
    expect(keyOf(talk('call_a', 'call_b'))).not.toBe(keyOf(talk('call_a', 'call_a')))
    const named = (id: string) =>
      keyOf({ ...request, tools: [{ type: 'function', function: { name: 'f', parameters: { id } } }] })
    expect(named('call_1')).not.toBe(named('call_2'))
  })

  it('tells half of a surrogate pair from its replacement', () => {
    expect(canonicalHash('\ud800')).not.toBe(canonicalHash('\ufffd'))
    expect(canonicalHash('\ud800')).not.toBe(canonicalHash('\ud801'))
  })

  it('is not made for other endpoints, methods and bodies', () => {
    expect(chat(request, '/v1/files')).toEqual({ cacheable: false, reason: 'endpoint' })
    expect(ask('{}', { method: 'GET' })).toEqual({ cacheable: false, reason: 'method' })
    for (const body of [undefined, new FormData(), 'not json', '[1]']) {
      expect(ask(body)).toEqual({ cacheable: false, reason: 'body' })
    }
  })

  it('promise 10: has no credentials in it', () => {
    const keys = ['one', 'two'].map((token) =>
      ask(JSON.stringify(request), { headers: { authorization: `Bearer ${token}` } }),
    )
    expect(keys[0]).toEqual(keys[1])
  })
})

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? 0 : value
  return Object.fromEntries(
    Object.entries(value)
      .sort()
      .map(([name, member]) => [name, sorted(member)]),
  )
}
