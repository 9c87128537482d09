import { it } from 'vitest'
import { forms, libraries, project } from '../harness/index.js'
import { converse, service } from './conversation.js'

const script = service(`
  import { AIMessage, HumanMessage } from '@langchain/core/messages'
  import { END, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'
  import { createCheckpointSaver, createLangGraphStore } from '@evenkeel/agent-memory/langgraph'

  const graph = new StateGraph(MessagesAnnotation)
    .addNode('model', async ({ messages }, { store }) => {
      const text = messages.at(-1).content
      await store.put(['said'], text, { text })
      return { messages: [new AIMessage(await answer(text))] }
    })
    .addEdge(START, 'model')
    .addEdge('model', END)
    .compile({ checkpointer: createCheckpointSaver({ redis, ttl: '30d' }), store: createLangGraphStore({ redis }) })
  const config = { configurable: { thread_id: 'chat' } }
  const turn = async (text) => {
    const { messages } = await graph.invoke({ messages: [new HumanMessage(text)] }, config)
    return messages.at(-1).content
  }
  const all = async () => (await graph.getState(config)).values.messages.map(({ content }) => content)`)

it.each(forms)(
  'a run of LangGraph that is under way when Redis goes comes to its end and is kept; the next ones wait for it, %s',
  async (form) => {
    const dependencies = {
      '@langchain/core': '1.2.13',
      '@langchain/langgraph': '1.4.9',
      '@langchain/langgraph-checkpoint': '1.1.5',
      redis: libraries.redis6,
    }
    const app = await project('memory-langgraph', { packages: ['@evenkeel/agent-memory'], dependencies })
    await converse(app, script, { form, goesOn: 'only what is under way' })
  },
)
