import { countTokens, estimateTokens } from '@evenkeel/core/kit'
import type { Message } from './message.js'

/** Tokens of a message by a function that counts those of a text. */
export function tokenCounter(count: (text: string) => number): (message: Message) => number {
  return (message) => countTokens(contentOf(message), count)
}

/** Estimates the tokens of everything in a message that is sent to a model. */
export const estimateMessageTokens: (message: Message) => number = (message) =>
  estimateTokens(contentOf(message))

function contentOf({ id: _, role: _role, ...fields }: Message): unknown {
  return Object.values(fields)
}
