import { createAgentMemory, type Message } from '@evenkeel/agent-memory'
import { describe, expect, it } from 'vitest'
import { converse } from '../src/server/conversation.js'

const user = (content: string): Message => ({ role: 'user', content })
const answer = (content: string) =>
  Response.json({ choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] })

describe('a turn of a conversation', () => {
  it('reaches the decoder although Redis has lost it and all before it', async () => {
    await using memory = createAgentMemory()
    const thread = memory.owner('alice').thread('talk')
    const histories: string[] = []
    const prompts: (readonly Message[])[] = []
    const host = {
      onStored: (history: string) => histories.push(history),
      ask: async (messages: readonly Message[]) => {
        prompts.push(messages)
        return answer('well')
      },
    }
    await converse(thread, 'first', [user('how are you?')], host)
    const forgetful = {
      append: thread.append.bind(thread),
      window: async (options?: Parameters<typeof thread.window>[0]) => {
        await thread.delete()
        return thread.window(options)
      },
    }
    await converse(forgetful, 'second', [{ role: 'system', content: 'be brief' }, user('and now?')], host)
    expect(prompts).toEqual([
      [user('how are you?')],
      [{ role: 'system', content: 'be brief' }, user('and now?')],
    ])
    expect(histories).toEqual(['whole', 'partial'])
  })

  it('that is sent again under its id is in the conversation once', async () => {
    await using memory = createAgentMemory()
    const thread = memory.owner('alice').thread('talk')
    let prompt: readonly Message[] = []
    const host = {
      onStored: () => {},
      ask: async (messages: readonly Message[]) => {
        prompt = messages
        return Response.json({ error: { message: 'busy' } }, { status: 503 })
      },
    }
    await converse(thread, 'first', [user('how are you?')], host)
    await converse(thread, 'first', [user('how are you?')], host)
    expect(prompt).toEqual([user('how are you?')])
  })
})
