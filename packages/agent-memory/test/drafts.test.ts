import { until } from '@evenkeel/test-servers'
import { createUIMessageStream, createUIMessageStreamResponse, type UIMessage } from 'ai'
import { describe, expect, it } from 'vitest'
import { createChats } from '../src/adapters/ai-sdk.js'
import { type AgentMemory, createAgentMemory, type Thread } from '../src/index.js'
import { idsOf, soon, threadOf, useRedis, user } from './support.js'

const redis = useRedis()

/** Two memories that see the same threads. */
async function pair(where: string): Promise<[AgentMemory, AgentMemory]> {
  if (where === 'redis') {
    return [(await redis.instance({ feed: true })).memory, (await redis.instance()).memory]
  }
  const memory = createAgentMemory({ feed: true })
  return [memory, memory]
}

const textOf = async (thread: Thread, draft: string, after?: number) => {
  let text = ''
  for await (const piece of thread.follow(draft, { after, ...soon() })) text += piece.text
  return text
}

describe.each(['memory', 'redis'])('a draft, in %s', (where) => {
  it('is followed by others while it is made, from the beginning or from where they were, and becomes a message', async () => {
    const [writer, reader] = await pair(where)
    const draft = threadOf(writer).draft({ id: 'answer {}|' })
    draft.write('Hel')
    await draft.flush()
    expect(await threadOf(reader).drafts()).toEqual(['answer {}|'])
    const early = textOf(threadOf(reader), draft.id)
    draft.write('lo 🙂'.repeat(10_000))
    await draft.flush()
    draft.write('!')
    const message = { id: 'm', role: 'assistant', content: 'Hello' }
    expect(await draft.finalize(message)).toEqual({ status: 'stored', id: 'm' })
    const whole = `Hel${'lo 🙂'.repeat(10_000)}!`
    expect(await early).toBe(whole)
    expect(await textOf(threadOf(reader), draft.id)).toBe(whole)
    expect(await textOf(threadOf(reader), draft.id, 1)).toBe(whole.slice(3))
    expect(await idsOf(reader)).toEqual(['m'])
    expect(await threadOf(reader).drafts()).toEqual([])
    expect(await draft.finalize(message)).toMatchObject({ status: 'duplicate' })
    expect(await textOf(threadOf(reader), 'unknown')).toBe('')
  })

  it('is recovered by whoever comes first when its writer is gone, and the late writer is shut out', async () => {
    const [writer, reader] = await pair(where)
    const draft = threadOf(writer).draft()
    draft.write('so far')
    await draft.flush()
    expect(await threadOf(reader).recover(draft.id)).toBeUndefined()
    expect(await threadOf(reader).recover(draft.id, { idle: 0 })).toMatchObject({
      content: 'so far',
      interrupted: true,
    })
    expect(await threadOf(reader).recover(draft.id, { idle: 0 })).toBeUndefined()
    draft.write(' more')
    await expect(draft.flush()).rejects.toMatchObject({ code: 'FENCED' })
    expect(await idsOf(reader)).toEqual([`draft.${draft.id}`])
  })
})

it('a draft in an outage is not shown, and its message is kept', async () => {
  const { memory, cutOff, back } = await redis.instance()
  const draft = threadOf(memory).draft()
  draft.write('a')
  await draft.flush()
  await cutOff()
  draft.write('b')
  await expect(draft.flush()).rejects.toMatchObject({ code: 'CONNECTION_DOWN' })
  expect(await draft.finalize({ id: 'm', role: 'assistant', content: 'ab' })).toMatchObject({
    status: 'journaled',
  })
  await back()
  await memory.flushed(soon())
  expect(await idsOf(memory)).toEqual(['m'])
})

describe.each(['memory', 'redis'])('drafts and their threads, in %s', (where) => {
  it('ends with its thread, and brings nothing back', async () => {
    const [writer, reader] = await pair(where)
    const thread = threadOf(writer)
    await thread.append(user('q'))
    const [draft, other] = [thread.draft(), thread.draft()]
    draft.write('half')
    await draft.flush()
    await thread.delete()
    expect(await threadOf(reader).drafts()).toEqual([])
    expect(await textOf(threadOf(reader), draft.id)).toBe('')
    expect(await draft.finalize({ role: 'assistant', content: 'whole' })).toMatchObject({ status: 'deleted' })
    expect(await other.finalize({ role: 'assistant', content: 'whole' })).toMatchObject({ status: 'deleted' })
    expect(await idsOf(reader)).toEqual([])
  })

  it('is gone with its owner, finished or not', async () => {
    const [writer, reader] = await pair(where)
    const [open, done] = [threadOf(writer).draft(), threadOf(writer).draft()]
    for (const draft of [open, done]) {
      draft.write('secret')
      await draft.flush()
    }
    await done.finalize({ id: 'm', role: 'assistant', content: 'secret' })
    expect(await writer.owner('o').erase()).toMatchObject({ verified: true, threads: 1, messages: 1 })
    expect(await textOf(threadOf(reader), done.id)).toBe('')
    expect(await textOf(threadOf(reader), open.id)).toBe('')
    expect(await open.finalize({ role: 'assistant', content: 'secret' })).toMatchObject({ status: 'deleted' })
    expect(await idsOf(reader)).toEqual([])
  })

  it('shuts a late writer out, though it writes nothing more', async () => {
    const [writer, reader] = await pair(where)
    const draft = threadOf(writer).draft()
    draft.write('Let me think. ')
    await draft.flush()
    await threadOf(reader).recover(draft.id, { idle: 0 })
    await expect(draft.finalize({ role: 'assistant', content: 'whole' })).rejects.toMatchObject({
      code: 'FENCED',
    })
    expect(await idsOf(reader)).toEqual([`draft.${draft.id}`])
  })

  it('lists drafts in their order, and ends a reader whose writer is gone', async () => {
    const [writer, reader] = await pair(where)
    const thread = writer.owner('o').thread('chat:3f2b9c1e-aaaa-bbbb-cccc-ddddeeeeffff:tenant:acme-corp:v2')
    const same = reader.owner('o').thread(thread.id)
    const drafts = Array.from({ length: 12 }, (_, index) => `${11 - index} ${'x'.repeat(80)}`)
    // Several in a millisecond.
    for (const id of drafts) await thread.draft({ id }).flush()
    expect(await same.drafts()).toEqual(drafts)
    let ended = false
    for await (const _ of same.follow(drafts[0] ?? '', { idle: 0, ...soon() })) ended = false
    ended = true
    expect(ended).toBe(true)
    expect(await same.drafts({ idle: 0 })).toEqual([])
  })

  it('keeps a character whole that two writes share, and shows all that was written at once', async () => {
    const [writer, reader] = await pair(where)
    const draft = threadOf(writer).draft()
    draft.write('a\ud83d')
    await draft.flush()
    draft.write('\ude42b')
    await draft.flush()
    draft.write('x'.repeat(1_500_000))
    await draft.end()
    const text = await textOf(threadOf(reader), draft.id)
    expect(text.slice(0, 4)).toBe('a🙂b')
    expect(text).toHaveLength(1_500_004)
  })
})

describe.each(['memory', 'redis'])('a subscription, in %s', (where) => {
  it('tells of every message, in order, of changes before them, and of a deletion', async () => {
    const [writer, reader] = await pair(where)
    const thread = threadOf(writer)
    await thread.append(user('before'))
    const events: string[] = []
    const stop = new AbortController()
    const following = (async () => {
      for await (const event of threadOf(reader).subscribe({ after: 0, signal: stop.signal })) {
        events.push(
          event.kind === 'appended' ? event.entries.map(({ message }) => message.id).join() : event.kind,
        )
      }
    })()
    const all = () => events.join()
    await expect.poll(all).toBe('before')
    await thread.append([user('a'), user('b')])
    await expect.poll(all).toBe('before,a,b')
    await thread.remove('a')
    await expect.poll(all).toBe('before,a,b,rewritten')
    await thread.delete()
    await thread.append(user('new'))
    await expect.poll(all).toBe('before,a,b,rewritten,deleted,new')
    stop.abort()
    await following
  })
})

it('a subscription misses nothing of what happened while Redis was away', async () => {
  const { memory, cutOff, back } = await redis.instance()
  const other = (await redis.instance()).memory
  await threadOf(other).append(user('a'))
  const seen: string[] = []
  const stop = new AbortController()
  const following = (async () => {
    for await (const event of threadOf(memory).subscribe({ after: 0, signal: stop.signal })) {
      if (event.kind === 'appended') seen.push(...event.entries.map(({ message }) => message.id))
    }
  })()
  await threadOf(other).append(user('b'))
  await expect.poll(() => seen.join()).toBe('a,b')
  await cutOff()
  await threadOf(other).append(user('c'))
  await back()
  await threadOf(other).append(user('d'))
  await expect.poll(() => seen.join()).toBe('a,b,c,d')
  stop.abort()
  await following
})

it('an answer of the AI SDK that a client lost is given again by another process, from its beginning', async () => {
  const chats = createChats((await redis.instance()).memory.owner('u'))
  const elsewhere = createChats((await redis.instance()).memory.owner('u'))
  expect(await elsewhere.resume('c')).toBeUndefined()
  let go = () => {}
  const held = new Promise<void>((resolve) => {
    go = resolve
  })
  let recording: Promise<void> | undefined
  const response = createUIMessageStreamResponse({
    stream: createUIMessageStream<UIMessage>({
      execute: async ({ writer }) => {
        writer.write({ type: 'text-start', id: '1' })
        writer.write({ type: 'text-delta', id: '1', delta: 'Hello' })
        await held
        writer.write({ type: 'text-delta', id: '1', delta: ' again' })
        writer.write({ type: 'text-end', id: '1' })
      },
    }),
    consumeSseStream: ({ stream }) => {
      recording = chats.record({ chatId: 'c', stream })
    },
  })
  await response.body?.cancel()
  await expect.poll(async () => (await elsewhere.thread('c').drafts()).length).toBe(1)
  // On a busy machine this process may take Redis for silent, and then can't tell.
  const resumed = await until(() => elsewhere.resume('c'))
  go()
  await recording
  const text = await new Response(resumed.pipeThrough(new TextEncoderStream() as never)).text()
  expect(text).toContain('"delta":"Hello"')
  expect(text).toContain('"delta":" again"')
  expect(text).toContain('[DONE]')
  expect(await elsewhere.resume('c')).toBeUndefined()
})
