import { describe, expect, it } from 'vitest'
import { createResponseCache } from '../src/index.js'
import { completion, fakeProvider, settled } from './fake.js'

const call = (body: object, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
})

/** How two requests after one another were answered. */
async function outcomes(url: string, one: RequestInit, other = one): Promise<(string | null)[]> {
  const cache = createResponseCache()
  const provider = fakeProvider((_, nth) => Response.json(answerOf(url, nth)))
  const cached = cache.fetch({ fetch: provider.fetch })
  const told: (string | null)[] = []
  for (const init of [one, other]) {
    told.push((await cached(url, init)).headers.get('x-evenkeel-cache'))
    await settled()
  }
  await cache.close()
  return told
}

function answerOf(url: string, nth: number): object {
  if (url.endsWith('/v1/messages')) {
    return { type: 'message', stop_reason: 'end_turn', content: [{ type: 'text', text: `${nth}` }] }
  }
  if (url.endsWith('/responses')) {
    const content = [{ type: 'output_text', text: `${nth}` }]
    return { status: 'completed', output: [{ type: 'message', content }] }
  }
  if (url.includes('generateContent')) {
    return { candidates: [{ finishReason: 'STOP', content: { parts: [{ text: `${nth}` }] } }] }
  }
  return completion(`${nth}`)
}

const chat = 'https://api.openai.com/v1/chat/completions'
const responses = 'https://api.openai.com/v1/responses'
const claude = 'https://api.anthropic.com/v1/messages'
const gemini = 'https://generativelanguage.googleapis.com/v1beta/models/gemini:generateContent'
const ask = { model: 'm', messages: [{ role: 'user', content: 'hi' }] }

describe('endpoints are known by their whole path and their bodies', () => {
  it.each([
    ['https://api.openai.com/v1/threads/thread_1/messages', { role: 'user', content: 'yes' }],
    ['https://x.openai.azure.com/openai/threads/thread_1/messages', { role: 'user', content: 'yes' }],
    ['https://api.openai.com/v1/forms/1/responses', { input: 'x' }],
    ['https://api.example.com/v1/messages', { to: '+1', text: 'hi' }],
    ['https://api.openai.com/v1/responses/resp_1/cancel', {}],
  ])('%s is none', async (url, body) => {
    expect(await outcomes(url, call(body))).toEqual(['bypass', 'bypass'])
  })

  it.each([
    chat,
    'https://x.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=1',
    'https://openrouter.ai/api/v1/chat/completions',
    'https://api.deepseek.com/chat/completions',
    'https://gateway.ai.cloudflare.com/v1/account/gateway/openai/chat/completions',
  ])('%s is one', async (url) => {
    expect(await outcomes(url, call(ask))).toEqual(['miss', 'hit'])
  })
})

describe('what a server keeps passes by', () => {
  it.each([
    ['an item by its id', { model: 'm', input: [{ type: 'item_reference', id: 'msg_1' }] }],
    ['a reasoning by its id', { model: 'm', input: [{ type: 'reasoning', id: 'rs_1', summary: [] }] }],
    ['an item that is nothing but an id', { model: 'm', input: [{ id: 'msg_1' }] }],
    ['a stored prompt', { model: 'm', input: 'x', prompt: { id: 'pmpt_1' } }],
  ])('%s', async (_, body) => {
    expect(await outcomes(responses, call(body))).toEqual(['bypass', 'bypass'])
  })

  it('an answer that is stored is another one than one that is not', async () => {
    const body = { model: 'm', input: 'x' }
    expect(await outcomes(responses, call({ ...body, store: false }), call(body))).toEqual(['miss', 'miss'])
  })
})

describe('ids count where they mean something', () => {
  const toolUse = (id: string, input: object) => ({
    model: 'm',
    max_tokens: 10,
    messages: [{ role: 'assistant', content: [{ type: 'tool_use', id, name: 'f', input }] }],
  })

  it('in the input of a tool', async () => {
    const [one, other] = ['call_1', 'call_2'].map((id) => call(toolUse('toolu_1', { id })))
    expect(await outcomes(claude, one ?? {}, other)).toEqual(['miss', 'miss'])
  })

  it('and not where a model made them up', async () => {
    const [one, other] = ['toolu_1', 'toolu_2'].map((id) => call(toolUse(id, { order: 7 })))
    expect(await outcomes(claude, one ?? {}, other)).toEqual(['miss', 'hit'])
  })

  it('a parameter of a tool may be called cache_control, file_id or id', async () => {
    const withSchema = (type: string) =>
      call({
        model: 'm',
        max_tokens: 10,
        messages: [{ role: 'user', content: 'x' }],
        tools: [
          {
            name: 'f',
            input_schema: { type: 'object', properties: { cache_control: { type }, file_id: {} } },
          },
        ],
      })
    expect(await outcomes(claude, withSchema('string'), withSchema('number'))).toEqual(['miss', 'miss'])
    expect(await outcomes(claude, withSchema('string'))).toEqual(['miss', 'hit'])
  })
})

describe('the order of a schema counts, since answers are written in it', () => {
  it.each([
    [
      'response_format',
      (schema: object) => ({ response_format: { type: 'json_schema', json_schema: { schema } } }),
    ],
    [
      'a function',
      (parameters: object) => ({ tools: [{ type: 'function', function: { name: 'f', parameters } }] }),
    ],
  ])('of %s', async (_, around) => {
    const [one, other] = [
      { properties: { answer: {}, reasoning: {} } },
      { properties: { reasoning: {}, answer: {} } },
    ].map((schema) => call({ ...ask, ...around(schema) }))
    expect(await outcomes(chat, one ?? {}, other)).toEqual(['miss', 'miss'])
  })
})

describe('what may make the provider look something up passes by', () => {
  it.each([
    ['a field that is not known', chat, { ...ask, web_search_options: {} }],
    ['a new spelling of it', chat, { ...ask, live_lookup: { on: true } }],
    ['a model that searches', chat, { ...ask, model: 'openai/gpt-4o:online' }],
    ['another such model', chat, { ...ask, model: 'gpt-4o-search-preview' }],
    ['a tool without a type', chat, { ...ask, tools: [{ googleSearch: {} }] }],
    ['a tool of Gemini', gemini, { contents: [{ parts: [{ text: 'x' }] }], tools: [{ googleSearch: {} }] }],
    ['an image by its URL', chat, withImage('https://example.com/today.png')],
  ])('%s', async (_, url, body) => {
    expect(await outcomes(url, call(body))).toEqual(['bypass', 'bypass'])
  })

  it('what is known is kept', async () => {
    const tools = [{ functionDeclarations: [{ name: 'f' }] }]
    expect(await outcomes(gemini, call({ contents: [{ parts: [{ text: 'x' }] }], tools }))).toEqual([
      'miss',
      'hit',
    ])
    expect(await outcomes(chat, call(withImage('data:image/png;base64,AA==')))).toEqual(['miss', 'hit'])
    expect(await outcomes(chat, call({ ...ask, top_k: 3, conversation: null }))).toEqual(['miss', 'hit'])
  })

  it('and the reason is told', async () => {
    const cache = createResponseCache()
    const provider = fakeProvider(() => Response.json(completion('x')))
    const response = await cache.fetch({ fetch: provider.fetch })(chat, call({ ...ask, plugins: [] }))
    expect(response.headers.get('x-evenkeel-bypass')).toBe('unknown-field')
    expect(cache.stats().bypassedBy).toEqual({ 'unknown-field': 1 })
    expect(cache.explain({ ...ask, plugins: [] }, ask).bypassed).toEqual([
      { which: 'a', reason: 'unknown-field', what: 'plugins' },
    ])
    await cache.close()
  })
})

describe('a request that says two things', () => {
  it.each([
    '{"model":"m","messages":[{"role":"user","content":"evil"}],"messages":[{"role":"user","content":"good"}]}',
    '{"model":"m","messages":[{"role":"user","content":"a","c\\u006fntent":"b"}]}',
    '{"model":"m","messages":[{"role":"user","content":"hi"}],"seed":9007199254740993}',
  ])('passes by: %s', async (body) => {
    expect(await outcomes(chat, { method: 'POST', body })).toEqual(['bypass', 'bypass'])
  })

  it('does not, when it is only written in another way', async () => {
    const body = JSON.stringify(ask, null, 2)
    expect(await outcomes(chat, { method: 'POST', body }, call(ask))).toEqual(['miss', 'hit'])
  })
})

describe('gateways route by header and query', () => {
  it.each([
    ['helicone-target-url', 'https://a', 'https://b'],
    ['x-portkey-provider', 'openai', 'azure'],
    ['x-model-override', 'a', 'b'],
  ])('%s', async (name, a, b) => {
    expect(await outcomes(chat, call(ask, { [name]: a }), call(ask, { [name]: b }))).toEqual(['miss', 'miss'])
  })
})

describe('failures that come as 200 are not kept', () => {
  it.each([
    { choices: [], object: 'chat.completion' },
    { base_resp: { status_code: 1002 } },
    { error_code: 17, error_msg: 'limit' },
    {},
    { choices: [{ index: 0, message: { role: 'assistant', content: 'Hi' } }] },
    { choices: [{ index: 0, message: { role: 'assistant', content: '' }, finish_reason: 'stop' }] },
  ])('%j', async (body) => {
    const cache = createResponseCache()
    const provider = fakeProvider(() => Response.json(body))
    const cached = cache.fetch({ fetch: provider.fetch })
    for (let turn = 0; turn < 2; turn++) {
      expect(await (await cached(chat, call(ask))).json()).toEqual(body)
      await settled()
    }
    expect(provider.calls).toHaveLength(2)
    await cache.close()
  })
})

function withImage(url: string): object {
  return { model: 'm', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] }
}
