import { copyOf } from '../messages/json.js'
import type { StoredMessage } from '../messages/message.js'
import { toolCallsOf } from '../messages/tool-calls.js'
import type { Window } from '../threads/thread.js'

/**
 * Converts a window to the messages of an OpenAI chat completion (or of any API of that format): without the thread's
 * ids, and with the summary, if there is one, as a system message after the first system messages.
 * @example
 * openai.chat.completions.create({ model, messages: forOpenAI(await thread.window({ maxTokens: 8_000 })) })
 */
export function forOpenAI<M extends object = Omit<StoredMessage, 'id'>>(window: PromptParts): M[] {
  const messages: object[] = window.messages.map(withoutId)
  const first = window.messages.findIndex((message) => !isSystem(message))
  if (window.summary !== undefined) {
    const summary = { role: 'system', content: window.summary.text }
    messages.splice(first < 0 ? messages.length : first, 0, summary)
  }
  return messages as M[]
}

/**
 * Converts a window of model messages to those of the AI SDK's `generateText` and `streamText`: without the thread's
 * ids, and with the summary, if there is one, as a system message after the first system messages.
 * @example
 * streamText({ model, messages: forAISDK(await thread.window({ maxTokens: 8_000 })) })
 */
export function forAISDK<M extends object = Omit<StoredMessage, 'id'>>(window: PromptParts): M[] {
  return forOpenAI<M>(window)
}

/**
 * Converts a window to a request of Anthropic's Messages API: its system messages and the summary as `system`, the
 * other messages with role and content only, since the API refuses other fields. They begin with a user message, as the
 * API requires: messages before it, such as an answer whose question did not fit, are left out.
 * @example
 * anthropic.messages.create({ model, max_tokens, ...forAnthropic(await thread.window({ maxTokens: 8_000 })) })
 */
export function forAnthropic<M extends object = { role: 'user' | 'assistant'; content: string }>(
  window: PromptParts,
): { system?: string; messages: M[] } {
  const messages = fromQuestion(window).map(({ role, content }) => ({ role, content: copyOf(content) }))
  const system = instructionsOf(window).join('\n\n')
  return { ...(system !== '' && { system }), messages: messages as object[] as M[] }
}

/**
 * Converts a window to a request of Gemini's `generateContent`: its system messages and the summary as
 * `systemInstruction`, the other messages as contents, which begin with one of the user. Parallel calls are put in one
 * content, and so are their responses. Plain text in messages that are not Gemini's own becomes a part.
 * @example
 * ai.models.generateContent({ model, ...geminiConfig, contents: forGemini(window).contents })
 */
export function forGemini<C extends object = { role: 'user' | 'model'; parts: object[] }>(
  window: PromptParts,
): { systemInstruction?: string; contents: C[] } {
  const contents = fromQuestion(window).map((message) => {
    const { role, content, parts } = message
    const own = typeof content === 'string' && parts === undefined ? [{ text: content }] : parts
    return { role: role === 'assistant' ? 'model' : role, parts: listOf(copyOf(own)) }
  })
  const isResponses = ({ parts }: Turn) => parts.every((part) => 'functionResponse' in part)
  const mayMerge = (one: Turn, other: Turn) =>
    one.role === 'model' || (isResponses(one) && isResponses(other))
  const merged = mergeTurns(contents, mayMerge)
  const systemInstruction = instructionsOf(window).join('\n\n')
  return { ...(systemInstruction !== '' && { systemInstruction }), contents: merged as object[] as C[] }
}

/**
 * Converts a window to a request of Amazon Bedrock's `Converse`: its system messages and the summary as `system`, the
 * other messages with role and content. They begin with a user message, and the roles alternate: neighbouring messages
 * of one role become one. Plain text becomes a block.
 * @example
 * new ConverseCommand({ modelId, ...forBedrock(await thread.window({ maxTokens: 8_000 })) })
 */
export function forBedrock<M extends object = { role: 'user' | 'assistant'; content: object[] }>(
  window: PromptParts,
): { system?: { text: string }[]; messages: M[] } {
  const turns = fromQuestion(window).map(({ role, content }) => ({
    role,
    parts: typeof content === 'string' ? [{ text: content }] : listOf(copyOf(content)),
  }))
  const messages = mergeTurns(turns, () => true).map(({ role, parts }) => ({ role, content: parts }))
  const system = instructionsOf(window).map((text) => ({ text }))
  return { ...(system.length > 0 && { system }), messages: messages as object[] as M[] }
}

type PromptParts = Pick<Window, 'messages' | 'summary'>

/** Copies the message, since those of a window are frozen. */
function withoutId({ id: _, ...message }: StoredMessage): object {
  return copyOf(message)
}

/** Consecutive content of one role. */
interface Turn {
  readonly role: string
  readonly parts: readonly object[]
}

/** Merges neighbouring turns of one role, where allowed. */
function mergeTurns(turns: readonly Turn[], mayMerge: (one: Turn, other: Turn) => boolean): readonly Turn[] {
  const merged: Turn[] = []
  for (const turn of turns) {
    const before = merged.at(-1)
    if (before === undefined || before.role !== turn.role || !mayMerge(before, turn)) merged.push(turn)
    else merged[merged.length - 1] = { ...before, parts: [...before.parts, ...turn.parts] }
  }
  return merged
}

function isSystem({ role }: StoredMessage): boolean {
  return role === 'system' || role === 'developer'
}

function instructionsOf({ messages, summary }: PromptParts): readonly string[] {
  const texts = messages.filter(isSystem).map(({ content, parts }) => textOf(content ?? parts))
  return [...texts, summary?.text ?? ''].filter((text) => text !== '')
}

/** The messages other than instructions, from the first user message that is no tool result; all of them if none is. */
function fromQuestion({ messages }: PromptParts): readonly StoredMessage[] {
  const said = messages.filter((message) => !isSystem(message))
  const first = said.findIndex(
    (message) => message.role === 'user' && toolCallsOf(message).answers.length === 0,
  )
  return said.slice(Math.max(0, first))
}

function listOf(value: unknown): readonly object[] {
  return Array.isArray(value) ? value : []
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) return ''
  return content.map((block: { readonly text?: unknown }) => String(block?.text ?? '')).join('\n')
}
