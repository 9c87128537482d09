import { type Connection, connect } from '@evenkeel/core'
import { flavours, type RedisServer, startRedis } from '@evenkeel/test-servers'
import { Command } from '@langchain/langgraph'
import { afterEach, describe, expect, it } from 'vitest'
import { createAgent } from '../src/agent.js'
import { standIn } from '../src/stand-in.js'

const settings = [
  { name: 'memory', flavour: undefined },
  ...flavours().map((flavour) => ({ name: flavour.name, flavour })),
]

describe.each(settings)('the example in $name', ({ flavour }) => {
  let server: RedisServer | undefined
  let redis: Connection | undefined
  afterEach(async () => {
    await redis?.close()
    await server?.close()
  })

  it('stops to ask, goes on in another process, and knows in another conversation what it learned', async () => {
    server = flavour && (await startRedis({ flavour }))
    redis = server && (await connect({ url: server.url }))
    const first = createAgent({ redis, model: standIn })
    const second = redis === undefined ? first : createAgent({ redis, model: standIn })
    const config = (thread: string) => ({ configurable: { thread_id: thread, user: 'ada' } })
    const say = (content: string) => ({ messages: [{ role: 'user', content }] })
    await first.graph.invoke(say('remember likes tea'), config('one'))
    const { tasks } = await second.graph.getState(config('one'))
    expect(tasks[0]?.interrupts[0]?.value).toEqual({ question: 'May I remember "likes tea"?' })
    const done = await second.graph.invoke(new Command({ resume: 'yes' }), config('one'))
    expect(done.messages.map((message) => message.getType())).toEqual(['human', 'ai', 'tool', 'ai'])
    await second.graph.invoke(say('remember hates rain'), config('two'))
    await second.graph.invoke(new Command({ resume: 'no' }), config('two'))
    const told = await second.graph.invoke(say('what do you know?'), config('three'))
    expect(told.messages.at(-1)?.content).toBe('I know of you: likes tea.')
    await second.checkpointer.deleteThread('one')
    expect((await first.graph.getState(config('one'))).values).toEqual({})
  })
})
