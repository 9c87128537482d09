import { type Connection, connect } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import type { UIMessage } from 'ai'
import { afterEach, describe, expect, it } from 'vitest'
import { createChatService, type Model } from '../src/chat.js'
import { standIn, textOf, wordsOf } from '../src/stand-in.js'

const ask = (id: string): UIMessage => ({ id, role: 'user', parts: [{ type: 'text', text: id }] })

describe.each(['memory', 'redis'])('the example in %s', (where) => {
  let server: RedisServer | undefined
  let redis: Connection | undefined
  afterEach(async () => {
    await redis?.close()
    await server?.close()
  })

  it('keeps a chat, and gives an answer again that its page lost', async () => {
    server = where === 'redis' ? await startRedis() : undefined
    redis = server && (await connect({ url: server.url }))
    let go = () => {}
    const held = new Promise<void>((resolve) => {
      go = resolve
    })
    const model: Model = async function* (messages) {
      yield* standIn(messages)
      if (messages.length > 1) await held
      yield ' Done.'
    }
    const service = createChatService({ redis, model })
    expect(await wordsOf(await service.send('ada', 'c', ask('one')))).toBe('This is answer 1. Done.')
    // The same message in another chat.
    await wordsOf(await service.send('ada', 'other', ask('one')))
    const lost = await service.send('ada', 'c', ask('two'))
    await lost.body?.cancel()
    await expect
      .poll(async () => (await service.memory.owner('user:ada').thread('c').drafts()).length)
      .toBe(1)
    const resumed = await service.resume('ada', 'c')
    go()
    expect(await wordsOf(resumed)).toBe('This is answer 2. Done.')
    await expect
      .poll(async () => (await service.load('ada', 'c')).map(({ id }) => id))
      .toEqual(['one', 'answer-one', 'two', 'answer-two'])
    expect(textOf((await service.load('ada', 'c'))[3])).toBe('This is answer 2. Done.')
    expect((await service.resume('ada', 'c')).status).toBe(204)
    expect(await service.load('bob', 'c')).toEqual([])
    await service.memory.close()
  })
})
