import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import { convertToModelMessages } from 'ai'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createChats } from '../src/adapters/ai-sdk.js'
import { createChatHistory } from '../src/adapters/langchain.js'
import { createLangGraphStore } from '../src/adapters/langgraph/index.js'
import { createAgentSession } from '../src/adapters/openai-agents.js'
import { createAgentMemory } from '../src/index.js'
import { copyOf, encodeJson, fromJson } from '../src/messages/json.js'
import { createSessions } from '../src/sessions/index.js'
import { threadOf, useRedis } from './support.js'

const redis = useRedis()

const leaves = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.bigInt(),
  fc.uint8Array(),
  fc.float32Array(),
  fc.bigInt64Array(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.uint8Array().map((bytes) => new Uint8Array(bytes).buffer),
  fc.date({ noInvalidDate: false }),
  fc.webUrl().map((url) => new URL(url)),
  fc.constantFrom(/a\/b/giu, new Map(), new Set(), [undefined, 1], Array(2)),
)
const { value: values } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaves,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      fc.oneof(fc.string(), fc.constantFrom('$evenkeel', '__proto__', 'toString')),
      tie('value'),
      {
        maxKeys: 4,
      },
    ),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.array(tie('value'), { maxLength: 3 }).map((list) => new Set(list)),
  ),
}))

/** Members of objects in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return Array.from(value, shuffled)
  if (typeof value !== 'object' || value === null) return value
  if (Object.getPrototypeOf(value) !== Object.prototype) return value
  const turned = {}
  for (const [name, own] of Object.entries(value).reverse()) {
    Object.defineProperty(turned, name, {
      value: shuffled(own),
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  return turned
}

/** Holes are given back as `undefined`, which equality of arrays tells apart. */
const filled = (value: unknown): unknown => fromJson(encodeJson('value', value).json)

describe('what is kept', () => {
  it('is given back as it was, whatever it is made of', () => {
    fc.assert(
      fc.property(values, (value) => {
        const { json, canonical } = encodeJson('value', { value })
        const back = (fromJson(json) as { value?: unknown }).value
        expect(back).toEqual(value)
        expect(encodeJson('value', { value: back })).toEqual({ json, canonical })
        expect(copyOf(back)).toStrictEqual(back)
        expect(encodeJson('value', { value: shuffled(value) }).canonical).toBe(canonical)
      }),
      { numRuns: 2_000 },
    )
  })

  it('shares its canonical text with nothing that is not equal', () => {
    fc.assert(
      fc.property(values, values, (one, other) => {
        const texts = [one, other].map((value) => encodeJson('value', value))
        // Two values are equal if their JSON is the same once members are sorted.
        const isSame = JSON.stringify(sorted(texts[0]?.json)) === JSON.stringify(sorted(texts[1]?.json))
        expect(texts[0]?.canonical === texts[1]?.canonical).toBe(isSame)
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([
    ['a function', { a: [{ b: () => 1 }] }, 'value.a[0].b'],
    ['a symbol', [Symbol('x')], 'value[0]'],
    ['an object of a class', { at: new (class Place {})() }, 'value.at'],
    ['an error', { error: new TypeError('x') }, 'value.error'],
    ['a promise', { later: Promise.resolve(1) }, 'value.later'],
    ['a boxed text', { text: Object('x') }, 'value.text'],
    ['within a map', new Map([['a', { b: () => 1 }]]), 'value'],
  ])('is refused where it can’t be, by its place, with nothing of its content: %s', (_, value, place) => {
    expect(() => encodeJson('value', value)).toThrow(
      expect.objectContaining({ code: 'INVALID_INPUT', message: expect.stringContaining(place) }),
    )
  })

  it('is refused when it holds itself, or is nested without end', () => {
    const circle: { own?: unknown } = {}
    circle.own = [circle]
    expect(() => encodeJson('value', circle)).toThrow(/value\.own\[0\].*a part of itself/)
    let deep: unknown = 1
    for (let level = 0; level < 5_000; level++) deep = [deep]
    expect(() => encodeJson('value', deep)).toThrow(/nested deeper/)
    let maps: unknown = 1
    for (let level = 0; level < 330; level++) maps = new Map([[1, maps]])
    expect(filled(maps)).toBeInstanceOf(Map)
    // The same value twice is no circle.
    expect(filled([circle.own === undefined, new Set([1]), new Set([1])])).toEqual([
      false,
      new Set([1]),
      new Set([1]),
    ])
  })
})

function sorted(json: string | undefined): unknown {
  return JSON.parse(json ?? 'null', (_, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? { members: Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)) }
      : value,
  )
}

describe('nothing is changed silently', () => {
  const kept = () => ({
    bytes: new Uint8Array([0, 255, 10]),
    buffer: Buffer.from('photo'),
    at: new Date(1_700_000_000_000),
    map: new Map<unknown, unknown>([
      ['a', 1n],
      [{ b: 1 }, Number.NaN],
    ]),
    list: [undefined, -0, Number.POSITIVE_INFINITY],
    url: new URL('https://example.com/x.png'),
    own: { $evenkeel: ['not', 'ours'] },
  })
  const memories = async () => [(await redis.instance()).memory, createAgentMemory()]

  it('in messages, windows, state and drafts’ neighbours, on Redis and in process', async () => {
    for (const memory of await memories()) {
      const thread = threadOf(memory)
      const message = { id: 'm', role: 'user', content: [{ type: 'image', ...kept() }] }
      await thread.append(message)
      // The same message once more, its members in another order.
      const turned = shuffled(message) as typeof message
      expect(await thread.append(turned)).toMatchObject({ status: 'duplicate' })
      const first = (await thread.window()).messages[0]
      expect(first).toEqual(message)
      // Each reader gets its own copy: a change to it does not affect others.
      const [image] = (first?.content ?? []) as { bytes: Uint8Array }[]
      image?.bytes.fill(7)
      expect((await thread.window()).messages).toEqual([message])
      expect((await thread.page()).entries[0]?.message).toEqual(message)
      await thread.state.set('plan', kept())
      expect(await thread.state.get('plan')).toMatchObject({ value: kept() })
      await expect(thread.state.set('plan', { run: () => 1 })).rejects.toThrow(/value\.run/)
      await expect(thread.append({ role: 'user', content: [new Error('secret')] })).rejects.toThrow(
        /messages\[0\]\.content\[0\]/,
      )
    }
  })

  it('in what is journaled, and in a backup', async () => {
    const { memory, cutOff, back } = await redis.instance()
    await cutOff()
    const message = { id: 'm', role: 'user', content: [{ type: 'image', ...kept() }] }
    const receipt = await threadOf(memory).append(message)
    expect((await threadOf(memory).window()).messages).toEqual([message])
    await back()
    await receipt.stored
    const lines: string[] = []
    for await (const line of memory.backup(['o'])) lines.push(line)
    const other = createAgentMemory()
    await other.restore(lines)
    expect((await threadOf(other).window()).messages).toEqual([message])
  })

  it('in sessions', async () => {
    const sessions = createSessions({ redis: (await redis.instance()).redis })
    const { id } = await sessions.create({ cart: kept() })
    expect((await sessions.get(id))?.data).toEqual({ cart: kept() })
    await expect(sessions.create({ run: () => 1 })).rejects.toThrow(/run/)
    await sessions.close()
  })

  it('in items of a LangGraph store', async () => {
    const store = createLangGraphStore({ redis: (await redis.instance()).redis })
    await store.put(['a'], 'k', kept())
    expect((await store.get(['a'], 'k'))?.value).toEqual(kept())
    await expect(store.put(['a'], 'k', { error: new Error('x') })).rejects.toThrow(/value\.error/)
  })

  it('in chats of the AI SDK, whose converter takes what comes back', async () => {
    for (const memory of await memories()) {
      const chats = createChats(memory.owner('o'))
      class Row {
        constructor(readonly id: number) {}
        toJSON() {
          return { id: this.id, at: new Date(5) }
        }
      }
      const answer = {
        id: 'a',
        role: 'assistant' as const,
        metadata: kept(),
        parts: [
          { type: 'text' as const, text: 'see' },
          {
            type: 'tool-look' as const,
            toolCallId: 'c',
            state: 'output-available' as const,
            input: { at: new Date(5) },
            output: { photo: new Uint8Array([1, 2]), rows: [new Row(1)] },
          },
        ],
      }
      await chats.save({ chatId: 'c', messages: [answer] })
      const [loaded] = await chats.load('c')
      // An object of a class is what the SDK sends to a client; all else is as it was.
      expect(loaded).toEqual({
        ...answer,
        parts: [
          answer.parts[0],
          {
            ...answer.parts[1],
            output: { photo: new Uint8Array([1, 2]), rows: [{ id: 1, at: new Date(5) }] },
          },
        ],
      })
      expect(await chats.window('c')).toEqual([loaded])
      expect(await convertToModelMessages(loaded === undefined ? [] : [loaded])).toHaveLength(2)
    }
  })

  it('in histories of LangChain and sessions of the OpenAI Agents SDK', async () => {
    for (const memory of await memories()) {
      const history = createChatHistory(memory.owner('o').thread('langchain'))
      const messages = [
        new HumanMessage({ content: [{ type: 'image', data: new Uint8Array([1, 2]) }] as never }),
        new AIMessage({ content: '', tool_calls: [{ id: 'c', name: 'f', args: { at: new Date(5) } }] }),
        new ToolMessage({ content: 'x', tool_call_id: 'c', artifact: kept() }),
      ]
      await history.addMessages(messages)
      const [human, ai, tool] = await history.getMessages()
      expect(human?.content).toEqual(messages[0]?.content)
      expect(ai).toMatchObject({ tool_calls: [{ args: { at: new Date(5) } }] })
      expect(tool).toMatchObject({ artifact: kept() })
      const session = createAgentSession(memory.owner('o').thread('agents'))
      const item = {
        type: 'function_call_result' as const,
        callId: 'c',
        name: 'f',
        status: 'completed' as const,
        output: { type: 'image' as const, image: { data: new Uint8Array([1, 2]), mediaType: 'image/png' } },
      }
      await session.addItems([item])
      expect(await session.getItems()).toEqual([item])
    }
  })
})
