import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAgentMemory, type Message, type Thread } from '../src/index.js'
import { idsOf, threadOf, useRedis, user } from './support.js'

const redis = useRedis()

describe.each(['memory', 'redis'])('threads, in %s', (where) => {
  const make = async () => (where === 'memory' ? createAgentMemory() : (await redis.instance()).memory)

  it('edits a message by a function, and never loses an edit of another', async () => {
    const thread = threadOf(await make())
    await thread.append({ id: 'a', role: 'user', content: 0 })
    const add = () => thread.edit('a', (message) => ({ ...message, content: Number(message.content) + 1 }))
    await Promise.all(Array.from({ length: 5 }, add))
    expect((await thread.get('a'))?.message).toEqual({ id: 'a', role: 'user', content: 5 })
    await expect(thread.edit('a', user('a'), { revision: 1 })).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
    })
    await expect(thread.edit('none', user('x'))).rejects.toMatchObject({ code: 'MESSAGE_MISSING' })
    const torn = { role: 'assistant', tool_calls: [{ id: 'x' }] }
    await expect(thread.edit('a', torn)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('removes, pins, pages and replaces', async () => {
    const memory = await make()
    const thread = threadOf(memory)
    await thread.append(['a', 'b', 'c', 'd'].map((id) => user(id)))
    expect([await thread.remove('b'), await thread.remove('b')]).toEqual([true, false])
    await thread.pin('a')
    expect((await thread.window({ maxMessages: 2 })).messages.map(({ id }) => id)).toEqual(['a', 'd'])
    await thread.unpin('a')
    await expect(thread.pin('b')).rejects.toMatchObject({ code: 'MESSAGE_MISSING' })
    const { entries, next } = await thread.page({ before: 5, limit: 2 })
    expect([entries.map(({ message }) => message.id), next]).toEqual([['d', 'c'], 3])
    await expect(thread.splice({ replace: ['c'], messages: [] })).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
    })
    const spliced = await thread.splice({ replace: ['c', 'd'], messages: [user('e')] })
    expect(spliced).toMatchObject({ ids: ['e'], seqs: [5] })
    expect(await idsOf(memory)).toEqual(['a', 'e'])
  })

  it('appends on conditions: a version, a lease, an operation', async () => {
    const thread = threadOf(await make())
    const { version } = await thread.append(user('a'))
    await thread.append(user('b'), { ifVersion: version })
    await expect(thread.append(user('c'), { ifVersion: version })).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
    })
    const lease = await thread.lease()
    expect(await thread.lease()).toBeUndefined()
    await thread.append(user('c'), { lease })
    await lease?.release()
    expect(await lease?.renew()).toBe(false)
    expect((await thread.lease())?.fence).toBe(2)
    await expect(thread.append(user('d'), { lease })).rejects.toMatchObject({ code: 'FENCED' })
    const say = (content: string) => thread.append({ role: 'user', content }, { operation: 'op' })
    const first = await say('once')
    expect(await say('once')).toMatchObject({ status: 'duplicate', ids: first.ids, seqs: first.seqs })
    await expect(say('twice')).rejects.toMatchObject({ code: 'OPERATION_CONFLICT' })
  })

  it('forks, and lists what there is', async () => {
    const memory = await make()
    // Threads that changed in the same millisecond are in descending order of their names.
    const thread = threadOf(memory, 'a first')
    await thread.append([user('a'), user('b')])
    const copy = await thread.fork({ id: 'z copy', upTo: 1 })
    await copy.append(user('c'))
    expect(await idsOf(memory, 'z copy')).toEqual(['a', 'c'])
    await expect(thread.fork({ id: 'z copy' })).rejects.toMatchObject({ code: 'THREAD_EXISTS' })
    await expect(threadOf(memory, 'none').fork()).rejects.toMatchObject({ code: 'THREAD_MISSING' })
    const listed = []
    for await (const { id } of memory.owner('o').threads()) listed.push(id)
    expect(listed).toEqual(['z copy', 'a first'])
    const page = await memory.owner('o').listThreads({ limit: 1 })
    expect((await memory.owner('o').listThreads({ cursor: page.cursor })).threads[0]?.id).toBe('a first')
    await expect(memory.owner('o').listThreads({ cursor: 'x' })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
  })

  it('keeps values with their versions, and counts what many count', async () => {
    const { state } = threadOf(await make())
    expect(await state.get('plan')).toBeUndefined()
    const { valueVersion } = await state.set('plan', { steps: [1] }, { ifVersion: 0 })
    expect(await state.get('plan')).toEqual({ value: { steps: [1] }, version: valueVersion })
    await expect(state.set('plan', 2, { ifVersion: 0 })).rejects.toMatchObject({ code: 'VERSION_CONFLICT' })
    await Promise.all(Array.from({ length: 9 }, () => state.increment('turns')))
    expect((await state.increment('turns', 0.5)).value).toBe(9.5)
    await expect(state.increment('plan')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    const push = (n: number) => state.update<number[]>('list', (list = []) => [...list, n])
    await Promise.all([push(1), push(2), push(3)])
    expect((await state.get<number[]>('list'))?.value.sort()).toEqual([1, 2, 3])
    await state.delete('plan')
    expect([...(await state.entries()).keys()].sort()).toEqual(['list', 'turns'])
    for (const value of [undefined, () => 1, Symbol('x')]) {
      await expect(state.set('x', value)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    }
  })

  it('promise 8: takes any text for a name, and keeps each apart from the others', async () => {
    const memory = await make()
    const names = [
      '*',
      '?[a-z]',
      '{x}',
      '\0\n\t\r',
      'ä 😀',
      '../%2F',
      ':|#$@^!~',
      ' ',
      '_m',
      '1',
      '__proto__',
      '$x',
      'x,y',
    ]
    const tool = (id: string) => ({ id: `call ${id}`, role: 'assistant', tool_calls: [{ id }] })
    for (const name of names) {
      const thread = memory.owner(name).thread(name)
      await thread.append([
        user(name),
        tool(name),
        { id: `result ${name}`, role: 'tool', tool_call_id: name },
      ])
      await thread.state.set(name, name)
    }
    for (const name of names) {
      const thread = memory.owner(name).thread(name)
      expect((await thread.window()).messages.map(({ id }) => id)).toEqual([
        name,
        `call ${name}`,
        `result ${name}`,
      ])
      expect((await thread.get(name))?.message).toMatchObject(user(name))
      expect([...(await thread.state.entries())]).toMatchObject([[name, { value: name }]])
      const listed = []
      for await (const one of memory.owner(name).threads()) listed.push(one.id)
      expect(listed).toEqual([name])
      expect(await thread.remove(name)).toBe(true)
      expect(await thread.delete()).toBe(true)
    }
  })

  it('refuses versions of a future, and stores nothing', async () => {
    const thread = threadOf(await make())
    const conflict = { code: 'VERSION_CONFLICT' }
    await expect(thread.append(user('a'), { ifVersion: 7 })).rejects.toMatchObject(conflict)
    await thread.append(user('a'))
    await expect(thread.append(user('b'), { ifVersion: 7 })).rejects.toMatchObject(conflict)
    await expect(thread.edit('a', { role: 'user', content: 'x' }, { revision: 7 })).rejects.toMatchObject(
      conflict,
    )
    await expect(thread.state.set('k', 1, { ifVersion: 7 })).rejects.toMatchObject(conflict)
    await expect(thread.state.delete('k', { ifVersion: 7 })).rejects.toMatchObject(conflict)
    expect(await thread.page({ after: 7 })).toMatchObject({ entries: [], next: undefined, version: 1 })
    expect((await thread.window()).messages).toMatchObject([user('a')])
  })

  it('refuses what is above a limit, and stores nothing of it', async () => {
    const limits = { messages: 3, threads: 2 }
    const memory =
      where === 'memory' ? createAgentMemory({ limits }) : (await redis.instance({ limits })).memory
    await threadOf(memory).append([user('a'), user('b')])
    await expect(threadOf(memory).append([user('c'), user('d')])).rejects.toMatchObject({
      code: 'LIMIT_REACHED',
      limit: 'messages',
    })
    await threadOf(memory, 'u').append(user('a'))
    await expect(threadOf(memory, 'v').append(user('a'))).rejects.toMatchObject({ limit: 'threads' })
    expect(await idsOf(memory)).toEqual(['a', 'b'])
  })

  it('sends appends of a thread that come together in few round trips, each with its own outcome', async () => {
    const memory = await make()
    const thread = threadOf(memory)
    await thread.append(user('taken'))
    const outcomes = await Promise.allSettled([
      ...Array.from({ length: 50 }, (_, index) => thread.append(user(`m${index}`))),
      thread.append(user('taken', 'other')),
      thread.append(user('m7')),
      thread.append([user('x'), user('y')]),
    ])
    const receipts = outcomes.map((one) => (one.status === 'fulfilled' ? one.value : undefined))
    expect(receipts[50]).toBeUndefined()
    expect(receipts[51]).toMatchObject({ status: 'duplicate', seqs: receipts[7]?.seqs })
    expect(await idsOf(memory)).toEqual(['taken', ...Array.from({ length: 50 }, (_, n) => `m${n}`), 'x', 'y'])
    expect(receipts.slice(0, 50).map((one) => one?.seqs[0])).toEqual(
      Array.from({ length: 50 }, (_, n) => n + 2),
    )
  })
})

it('fifty appends that come together take a handful of round trips', async () => {
  const { memory } = await redis.instance()
  const thread = threadOf(memory)
  await thread.append(user('a'))
  await redis.server.command('CONFIG', 'RESETSTAT')
  await Promise.all(Array.from({ length: 50 }, (_, index) => thread.append(user(`m${index}`))))
  const stats = String(await redis.server.command('INFO', 'commandstats'))
  expect(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])).toBeLessThanOrEqual(3)
})

describe('a window that is read again', () => {
  it('costs a few bytes when nothing is new, and one message when one is', async () => {
    const { memory } = await redis.instance()
    const other = (await redis.instance()).memory
    const thread = threadOf(memory)
    await thread.append(Array.from({ length: 200 }, (_, index) => user(`m${index}`, 'x'.repeat(500))))
    await threadOf(other).window()
    const bytesOut = async () =>
      Number(/total_net_output_bytes:(\d+)/.exec(String(await redis.server.command('INFO', 'stats')))?.[1])
    const costs = async (read: () => Promise<unknown>) => {
      const [before] = [await bytesOut(), await read()]
      return (await bytesOut()) - before
    }
    const idle = await costs(async () => {})
    // The least of three: what the connections say for themselves meanwhile is no part of it.
    const unchanged = []
    for (let round = 0; round < 3; round++) unchanged.push(await costs(() => threadOf(other).window()))
    expect(Math.min(...unchanged) - idle).toBeLessThan(100)
    await thread.append(user('new', 'y'.repeat(500)))
    expect((await costs(() => threadOf(other).window())) - idle).toBeLessThan(1_200)
    expect((await threadOf(other).window()).messages.at(-1)?.id).toBe('new')
  })

  it('holds what was pinned, edited or removed here beyond what was read here', async () => {
    const { memory } = await redis.instance()
    const other = (await redis.instance()).memory
    await threadOf(other).append(['1', '2', '3', '4'].map((id) => user(id)))
    const ids = async () => (await threadOf(memory).window({ maxMessages: 1 })).messages.map(({ id }) => id)
    expect(await ids()).toEqual(['4'])
    await threadOf(memory).pin('2')
    expect(await ids()).toEqual(['2'])
    await threadOf(memory).unpin('2')
    await threadOf(memory).remove('1')
    expect(await threadOf(memory).window({ maxMessages: 1 })).toMatchObject({
      count: 3,
      messages: [{ id: '4' }],
    })
  })

  it.each([
    ['appended what was there', (thread: Thread) => thread.append(user('a'))],
    ['pinned what was pinned', (thread: Thread) => thread.pin('a')],
    ['edited it to what it was', (thread: Thread) => thread.edit('a', user('a'))],
    ['took away a value that was not there', (thread: Thread) => thread.state.delete('none')],
  ])('holds what another one did just before this one %s', async (_, changeNothing) => {
    const own = threadOf((await redis.instance()).memory)
    const other = threadOf((await redis.instance()).memory)
    await own.append(user('a'))
    await own.pin('a')
    await own.append(user('b'))
    await own.window()
    await other.remove('b')
    await changeNothing(own)
    expect((await own.window()).messages.map(({ id }) => id)).toEqual(['a'])
  })

  it.each([
    ['removed', '1', (thread: Thread) => thread.remove('2')],
    [
      'edited',
      '2',
      (thread: Thread) => thread.edit('2', { role: 'user', content: 'a longer text than before' }),
    ],
  ] as const)(
    'begins where it begins for others, though the newest message was %s elsewhere before an append or a splice',
    async (_, newest, change) => {
      const { memory, redis: redisOf } = await redis.instance()
      const second = (await redis.instance()).memory
      const appends = (thread: Thread) => thread.append([user('3'), user('4')])
      const splices = (thread: Thread) =>
        thread.splice({ replace: [newest], messages: [user('3'), user('4')] })
      for (const [name, write] of Object.entries({ appends, splices })) {
        await threadOf(second, name).append([user('1'), user('2')])
        await change(threadOf(second, name))
        await threadOf(memory, name).window()
        await write(threadOf(memory, name))
        for (let maxTokens = 3; maxTokens < 16; maxTokens++) {
          const options = { maxTokens, anchored: true }
          const fresh = await threadOf(createAgentMemory({ redis: redisOf }), name).window(options)
          expect(await threadOf(memory, name).window(options)).toEqual(fresh)
        }
      }
    },
  )

  it('is the same as for one who reads it for the first time, whatever happened in between', async () => {
    const { memory, redis: redisOf } = await redis.instance()
    const second = (await redis.instance()).memory
    // So few that changes often find what another one did.
    const names = ['1', '2', '3']
    const name = fc.constantFrom(...names)
    const step = fc.record({
      who: fc.boolean(),
      act: fc.oneof(
        fc.array(name, { minLength: 1, maxLength: 3 }).map((ids) => async (thread: Thread) => {
          await thread.append([...new Set(ids)].map((id): Message => user(id)))
        }),
        name.map((id) => async (thread: Thread) => void (await thread.remove(id))),
        name.map((id) => async (thread: Thread) => {
          await thread.edit(id, { role: 'user', content: `${Math.random()}` })
        }),
        name.map((id) => (thread: Thread) => thread.pin(id)),
        fc.constant(async (thread: Thread) => void (await thread.state.increment('n'))),
        fc.constant(async (thread: Thread) => void (await thread.state.delete('n'))),
        fc.constant(async (thread: Thread) => void (await thread.delete())),
        name.map((id) => async (thread: Thread) => {
          await thread.splice({ replace: [id], messages: [user(`after ${id}`)] })
        }),
      ),
      reads: fc.boolean(),
      maxMessages: fc.integer({ min: 1, max: 6 }),
    })
    let round = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        const name = `t${round++}`
        for (const { who, act, reads, maxMessages } of steps) {
          await act(threadOf(who ? memory : second, name)).catch(() => {})
          if (!reads) continue
          const fresh = await threadOf(createAgentMemory({ redis: redisOf }), name).window({ maxMessages })
          for (const reader of [memory, second]) {
            expect(await threadOf(reader, name).window({ maxMessages })).toEqual(fresh)
          }
          const anchored = { maxMessages, maxTokens: 9, anchored: true }
          const first = await threadOf(createAgentMemory({ redis: redisOf }), name).window(anchored)
          for (const reader of [memory, second]) {
            expect(await threadOf(reader, name).window(anchored)).toEqual(first)
          }
        }
      }),
      { numRuns: 100 },
    )
    // Some ten thousand round trips: a busy machine needs its time.
  })
})

describe('an anchored window', () => {
  it('begins at the same place for many turns, stays in its budget, and is never small', async () => {
    const thread = threadOf(createAgentMemory({ countTokens: () => 10 }))
    await thread.append({ id: 's', role: 'system' })
    const begins: number[] = []
    const sizes: number[] = []
    for (let turn = 0; turn < 100; turn++) {
      await thread.append([user(`q${turn}`), { id: `a${turn}`, role: 'assistant' }])
      const window = await thread.window({ maxTokens: 500, anchored: true })
      expect(window.tokens).toBeLessThanOrEqual(500)
      expect(window.messages[0]?.id).toBe('s')
      expect(window.messages[1]?.role).toBe('user')
      begins.push(window.from)
      sizes.push(window.tokens)
    }
    expect(begins).toEqual([...begins].sort((one, other) => one - other))
    expect(new Set(begins).size).toBeLessThanOrEqual(10)
    expect(Math.min(...sizes.slice(25))).toBeGreaterThan(250)
  })

  it('holds turns, and begins with one, when asked', async () => {
    const thread = threadOf(createAgentMemory())
    for (let turn = 0; turn < 5; turn++) {
      await thread.append([user(`q${turn}`), { id: `a${turn}`, role: 'assistant' }])
    }
    const ids = async (options: object) => (await thread.window(options)).messages.map(({ id }) => id)
    expect(await ids({ maxTurns: 2 })).toEqual(['q3', 'a3', 'q4', 'a4'])
    expect(await ids({ maxMessages: 3, startAt: 'turn' })).toEqual(['q4', 'a4'])
    await expect(thread.window({ maxTurns: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})

it('an update of a value, or of a message, succeeds beside any number of others, in this process and in others', async () => {
  const [one, other] = [(await redis.instance()).memory, (await redis.instance()).memory]
  await threadOf(one).append(user('m', '0'))
  const add = (n: unknown) => Number(n ?? 0) + 1
  const all = [one, other].flatMap((memory) =>
    Array.from({ length: 30 }, async () => {
      await threadOf(memory).state.update<number>('n', async (n) => add(n))
      await threadOf(memory).edit('m', ({ content }) => ({ role: 'user', content: String(add(content)) }))
    }),
  )
  await Promise.all(all)
  expect(await threadOf(one).state.get('n')).toMatchObject({ value: 60 })
  expect((await threadOf(other).get('m'))?.message.content).toBe('60')
  // An update inside an update of the same value does not wait for the outer one, which is tried again.
  const { state } = threadOf(one)
  let isFirst = true
  await state.update<number>('n', async (n) => {
    if (isFirst) await state.update<number>('n', add)
    isFirst = false
    return add(n)
  })
  expect(await state.get('n')).toMatchObject({ value: 62 })
  const failing = state.update('n', () => Promise.reject(new Error('of the host')))
  await expect(failing).rejects.toThrow('of the host')
})
