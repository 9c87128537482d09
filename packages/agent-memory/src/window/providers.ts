import { copyOf } from '../messages/json.js'
import type { StoredMessage } from '../messages/message.js'
import type { Window } from '../threads/thread.js'

/**
 * A window as the messages of an OpenAI chat completion (or of any API of its shape): without the ids that the thread
 * gave, and with the summary, if there is one, as a system message behind the first ones.
 * @example
 * openai.chat.completions.create({ model, messages: forOpenAI(await thread.window({ maxTokens: 8_000 })) })
 */
export function forOpenAI<M extends object = Omit<StoredMessage, 'id'>>(window: PromptParts): M[] {
  const messages: object[] = window.messages.map(withoutId)
  const first = window.messages.findIndex(({ role }) => role !== 'system' && role !== 'developer')
  if (window.summary !== undefined) {
    const summary = { role: 'system', content: window.summary.text }
    messages.splice(first < 0 ? messages.length : first, 0, summary)
  }
  return messages as M[]
}

/**
 * A window as Anthropic's Messages API takes it: its system messages and the summary as `system`, the others with
 * nothing but role and content, since it refuses what it does not know.
 * @example
 * anthropic.messages.create({ model, max_tokens, ...forAnthropic(await thread.window({ maxTokens: 8_000 })) })
 */
export function forAnthropic<M extends object = { role: 'user' | 'assistant'; content: string }>(
  window: PromptParts,
): { system?: string; messages: M[] } {
  const isSystem = ({ role }: StoredMessage) => role === 'system' || role === 'developer'
  const texts = window.messages.filter(isSystem).map(({ content }) => textOf(content))
  if (window.summary !== undefined) texts.push(window.summary.text)
  const messages = window.messages
    .filter((message) => !isSystem(message))
    .map(({ role, content }) => ({ role, content: copyOf(content) }))
  const system = texts.filter(Boolean).join('\n\n')
  return { ...(system !== '' && { system }), messages: messages as object[] as M[] }
}

type PromptParts = Pick<Window, 'messages' | 'summary'>

/** A copy of its own: what windows hold is frozen. */
function withoutId({ id: _, ...message }: StoredMessage): object {
  return copyOf(message)
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((block: { readonly text?: unknown }) => String(block?.text ?? '')).join('\n')
}
