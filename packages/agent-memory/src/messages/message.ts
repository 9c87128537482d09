/**
 * A message in a provider's own format: OpenAI's (`tool_calls`, `tool_call_id`), Anthropic's (`tool_use` and
 * `tool_result` blocks) or the Vercel AI SDK's (`tool-call` and `tool-result` parts). Everything that JSON can
 * express is stored unchanged.
 */
export interface Message {
  /** A thread stores each id once, whatever is retried. @default a random one */
  readonly id?: string | undefined
  readonly role: string
  readonly content?: unknown
  readonly [field: string]: unknown
}

/** A message as a thread returns it: with its id. */
export interface StoredMessage extends Message {
  readonly id: string
}

/**
 * Accepted as messages: those of OpenAI's, Anthropic's, Google's and Amazon's SDKs, of the AI SDK and the OpenAI
 * Agents SDK, and your own. An item of OpenAI's Responses API needs no role.
 */
export interface MessageLike {
  readonly id?: string | null | undefined
  readonly role?: string | undefined
  readonly type?: unknown
  readonly content?: unknown
}
