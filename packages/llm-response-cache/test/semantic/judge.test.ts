import { describe, expect, it } from 'vitest'
import { defaultJudge, measureJudge } from '../../src/semantic/judge.js'
import { lexicalEmbedder } from '../../src/semantic/lexical-embedder.js'
import { questionOf, scopeOf } from '../../src/semantic/question.js'

const judge = defaultJudge(lexicalEmbedder())

describe('the default judge calls the same', () => {
  const completion = (content: string, id = 'c1', more: object = {}) => ({
    id,
    object: 'chat.completion',
    created: id.length,
    usage: { total_tokens: id.length },
    choices: [{ index: 0, message: { role: 'assistant', content, ...more }, finish_reason: 'stop' }],
  })
  const calls = (place: string) => ({
    tool_calls: [{ id: place, type: 'function', function: { name: 'w', arguments: place } }],
  })

  it.each([
    ['equal texts but for spaces and case', 'It is  42.', 'it is 42.'],
    [
      'texts in nearly the same words',
      'It costs 9 euros per month on the Harbour plan.',
      'On the Harbour plan it costs 9 euros per month.',
    ],
    ['JSON in another order', '{"a": 1, "b": [2]}', '{ "b": [2], "a": 1 }'],
    [
      'answers of a provider with other ids, times and usage',
      completion('It is 42', 'c1'),
      completion('It is 42', 'c22'),
    ],
    [
      'messages of Anthropic',
      { id: 'm1', content: [{ type: 'text', text: 'Yes' }] },
      { id: 'm2', content: [{ type: 'text', text: 'yes' }] },
    ],
    ['nothing and nothing', null, null],
  ])('%s', async (_, kept, fresh) => {
    expect(await judge(kept, fresh)).toBe(true)
  })

  it.each([
    [
      'another number',
      'The Harbour plan costs 9 euros per month.',
      'The Harbour plan costs 19 euros per month.',
    ],
    [
      'another name',
      'The capital city of that country is Lima, in Peru',
      'The capital city of that country is Cusco, in Peru',
    ],
    ['a negation', 'You can export the data of your plan', 'You can not export the data of your plan'],
    ['other JSON', '{"a": 1}', '{"a": 2}'],
    ['JSON and text', '{"a": 1}', 'a is 1'],
    ['other tool calls', completion('', 'c1', calls('Rome')), completion('', 'c1', calls('Oslo'))],
    ['something else altogether', 'Bake it for an hour', 'The train leaves in the evening'],
    ['text and number', '42', 42],
    [
      'several choices',
      { choices: [{ text: 'a' }, { text: 'b' }] },
      { choices: [{ text: 'a' }, { text: 'c' }] },
    ],
  ])('not %s', async (_, kept, fresh) => {
    expect(await judge(kept, fresh)).toBe(false)
  })
})

it('measures a judge on answers that are known', async () => {
  const answers = Array.from({ length: 200 }, (_, at) => ({ kept: at, fresh: at, same: at < 100 }))
  const lenient = (kept: unknown) => Number(kept) < 90 || Number(kept) >= 195
  const report = await measureJudge(lenient, answers)
  expect(report).toMatchObject({ missRate: 0.05, falseAlarmRate: 0.1 })
  expect(report.missRateBound).toBeGreaterThan(0.09)
  expect((await measureJudge(lenient, [])).missRateBound).toBe(1)
})

describe('a question', () => {
  const user = (content: unknown) => ({ role: 'user', content })

  it('is the text of the last user message, wherever a provider keeps it', () => {
    const text = 'What is it?'
    const forms = [
      { messages: [user(text)] },
      { messages: [user([{ type: 'text', text }])] },
      { input: [user([{ type: 'input_text', text }])] },
      { input: text },
      { prompt: text },
      { prompt: [user([{ type: 'text', text }])] },
    ]
    for (const form of forms) expect(questionOf({ model: 'm', ...form })?.text).toBe(text)
    expect(questionOf(text)).toEqual({ text, context: null })
  })

  it('has a context that is the same for other words, and another for anything else', () => {
    const base = { model: 'm', messages: [{ role: 'system', content: 's' }, user('one')] }
    const scope = (request: object) => {
      const question = questionOf(request)
      return question && scopeOf(question.context)
    }
    expect(scope({ ...base, messages: [base.messages[0], user('two')] })).toBe(scope(base))
    expect(scope({ ...base, messages: [base.messages[0], user([{ type: 'text', text: 'one' }])] })).toBe(
      scope(base),
    )
    const others = [
      { ...base, model: 'n' },
      { ...base, temperature: 0 },
      { ...base, messages: [{ role: 'system', content: 't' }, user('one')] },
      { ...base, messages: [user('one')] },
      { ...base, messages: [base.messages[0], user('hi'), { role: 'assistant', content: 'a' }, user('one')] },
      {
        ...base,
        messages: [
          base.messages[0],
          user([
            { type: 'text', text: 'one' },
            { type: 'image_url', image_url: { url: 'a' } },
          ]),
        ],
      },
      {
        ...base,
        messages: [
          base.messages[0],
          user([
            { type: 'text', text: 'one' },
            { type: 'image_url', image_url: { url: 'b' } },
          ]),
        ],
      },
      {
        ...base,
        messages: [
          base.messages[0],
          user([{ type: 'text', text: 'one', cache_control: { type: 'ephemeral' } }]),
        ],
      },
    ]
    const scopes = [base, ...others].map(scope)
    expect(new Set(scopes).size).toBe(scopes.length)
    expect(scopes).not.toContain(undefined)
  })

  it('is none where the last word is not one text of a user', () => {
    const none: unknown[] = [
      { messages: [user('x'), { role: 'assistant', content: 'y' }] },
      { messages: [user('x'), { role: 'tool', content: 'y' }] },
      {
        messages: [
          user([
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ]),
        ],
      },
      { messages: [user([{ type: 'image_url' }])] },
      { messages: [] },
      { input: [{ type: 'function_call_output', output: 'x' }] },
      { model: 'm' },
      null,
      42,
      undefined,
    ]
    for (const request of none) expect(questionOf(request)).toBeUndefined()
  })

  it('has no scope where the context can have no key', () => {
    expect(scopeOf({ f: () => 1 })).toBeUndefined()
    const cyclic: Record<string, unknown> = {}
    cyclic.self = cyclic
    expect(scopeOf(cyclic)).toBeUndefined()
  })
})
