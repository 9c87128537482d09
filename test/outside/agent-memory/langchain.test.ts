import { it } from 'vitest'
import { forms, libraries, project } from '../harness/index.js'
import { converse, service } from './conversation.js'

const script = service(`
  import { AIMessage } from '@langchain/core/messages'
  import { ChatPromptTemplate, MessagesPlaceholder } from '@langchain/core/prompts'
  import { RunnableLambda, RunnableWithMessageHistory } from '@langchain/core/runnables'
  import { createChatHistory } from '@evenkeel/agent-memory/langchain'

  const prompt = ChatPromptTemplate.fromMessages([
    ['system', 'Be brief.'],
    new MessagesPlaceholder('history'),
    ['human', '{input}'],
  ])
  const model = RunnableLambda.from(async (value) =>
    new AIMessage(await answer(value.toChatMessages().at(-1).content)))
  const historyOf = (id) => createChatHistory(memory.owner('user').thread(id))
  const chain = new RunnableWithMessageHistory({
    runnable: prompt.pipe(model),
    getMessageHistory: historyOf,
    inputMessagesKey: 'input',
    historyMessagesKey: 'history',
  })
  const turn = async (input) => (await chain.invoke({ input }, { configurable: { sessionId: 'chat' } })).content
  const all = async () => (await historyOf('chat').getMessages()).map(({ content }) => content)`)

it.each(forms)('a history of LangChain loses nothing while Redis is away, %s', async (form) => {
  const dependencies = { '@langchain/core': '1.2.13', redis: libraries.redis6 }
  const app = await project('memory-langchain', { packages: ['@evenkeel/agent-memory'], dependencies })
  await converse(app, script, { form })
})
