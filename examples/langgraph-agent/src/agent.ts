import { createCheckpointSaver, createLangGraphStore } from '@evenkeel/agent-memory/langgraph'
import type { Connection } from '@evenkeel/core'
import { AIMessage, type BaseMessage, ToolMessage } from '@langchain/core/messages'
import type { RunnableConfig } from '@langchain/core/runnables'
import { END, interrupt, MessagesAnnotation, START, StateGraph } from '@langchain/langgraph'

/** Calls a tool, or answers. Your application puts a chat model here. */
export type Model = (messages: readonly BaseMessage[], known: readonly string[]) => AIMessage

/**
 * An agent that asks before it acts: the tool waits for the user's yes or no. Each step is saved as a checkpoint, and
 * what the agent learns about a user outlives the conversation.
 */
export function createAgent(options: { redis?: Connection | undefined; model: Model }) {
  const { redis, model } = options
  const checkpointer = createCheckpointSaver({ redis, ttl: '1d' })
  const store = createLangGraphStore({ redis })

  const think = async ({ messages }: typeof MessagesAnnotation.State, config: RunnableConfig) => {
    const facts = await store.search(['users', userOf(config)], { limit: 20 })
    return {
      messages: [
        model(
          messages,
          facts.map(({ value }) => String(value.text)),
        ),
      ],
    }
  }
  const act = async ({ messages }: typeof MessagesAnnotation.State, config: RunnableConfig) => {
    const last = messages.at(-1)
    const [call] = last instanceof AIMessage ? (last.tool_calls ?? []) : []
    if (call === undefined) return {}
    const text = String(call.args.text)
    const isAllowed = interrupt({ question: `May I remember "${text}"?` }) === 'yes'
    if (isAllowed) await store.put(['users', userOf(config)], text, { text })
    const content = isAllowed ? `remembered: ${text}` : 'not allowed'
    return { messages: [new ToolMessage({ content, tool_call_id: call.id ?? '' })] }
  }
  const graph = new StateGraph(MessagesAnnotation)
    .addNode('think', think)
    .addNode('act', act)
    .addEdge(START, 'think')
    .addConditionalEdges('think', ({ messages }) => {
      const last = messages.at(-1)
      return last instanceof AIMessage && (last.tool_calls?.length ?? 0) > 0 ? 'act' : END
    })
    .addEdge('act', 'think')
    .compile({ checkpointer, store })
  return { graph, checkpointer, store }
}

function userOf({ configurable }: RunnableConfig): string {
  return String(configurable?.user ?? 'nobody')
}
