import { it } from 'vitest'
import { forms, libraries, project } from '../harness/index.js'
import { converse, service } from './conversation.js'

const script = service(`
  import { Agent, Runner, setTracingDisabled, tool } from '@openai/agents'
  import { z } from 'zod'
  import { createAgentSession } from '@evenkeel/agent-memory/openai-agents'

  setTracingDisabled(true)
  const usage = {
    requests: 1, inputTokens: 1, outputTokens: 1, totalTokens: 2, inputTokensDetails: [], outputTokensDetails: [],
  }
  const textOf = ({ content }) => (typeof content === 'string' ? content : content.map(({ text }) => text).join(''))
  // Each answer is looked up by a tool first.
  const model = {
    async getResponse({ input }) {
      const last = input.at(-1)
      if (last.type !== 'function_call_result') {
        const call = { type: 'function_call', callId: 'call ' + textOf(last), name: 'look', arguments: '{}', status: 'completed' }
        return { usage, output: [call], responseId: 'r' }
      }
      const text = await answer(last.callId.slice(5))
      const content = [{ type: 'output_text', text }]
      return { usage, output: [{ type: 'message', role: 'assistant', status: 'completed', content }], responseId: 'r' }
    },
  }
  const look = tool({ name: 'look', description: 'Looks', parameters: z.object({}), execute: async () => 'seen' })
  const agent = new Agent({ name: 'a', model, tools: [look] })
  const session = createAgentSession(memory.owner('user').thread('chat'))
  const turn = async (text) => (await new Runner().run(agent, text, { session })).finalOutput
  const all = async () => {
    const items = await session.getItems()
    const results = items.filter(({ type }) => type === 'function_call_result').length
    if (results * 2 !== items.filter(({ role }) => role !== undefined).length) throw new Error('a result is missing')
    return items.filter(({ role }) => role !== undefined).map(textOf)
  }`)

it.each(forms)('a session of the OpenAI Agents SDK loses nothing while Redis is away, %s', async (form) => {
  const dependencies = { '@openai/agents': '0.20.0', redis: libraries.redis6, zod: '4.6.7' }
  const app = await project('memory-agents', { packages: ['@evenkeel/agent-memory'], dependencies })
  await converse(app, script, { form })
})
