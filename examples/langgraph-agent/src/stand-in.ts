import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import type { Model } from './agent.js'

/** A model that needs no API key: it remembers what it is told to, or says what it knows. */
export const standIn: Model = (messages, known) => {
  const last = messages.at(-1)
  if (last instanceof ToolMessage) return new AIMessage(`Done: ${last.content}.`)
  const text = last instanceof HumanMessage ? String(last.content) : ''
  const [, wish] = /^remember (.+)$/.exec(text) ?? []
  if (wish === undefined) return new AIMessage(`I know of you: ${[...known].sort().join(', ') || 'nothing'}.`)
  return new AIMessage({
    content: '',
    tool_calls: [{ id: `call-${messages.length}`, name: 'remember', args: { text: wish } }],
  })
}
