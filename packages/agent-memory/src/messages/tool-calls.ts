/** Which tool calls a message makes, and which it answers, by the calls' ids. */
export interface ToolCalls {
  readonly opens: readonly string[]
  readonly answers: readonly string[]
}

interface Block {
  readonly type?: unknown
  readonly id?: unknown
  readonly tool_use_id?: unknown
  readonly toolCallId?: unknown
}

/**
 * Reads the shapes of OpenAI and LangChain (`tool_calls`, `tool_call_id`), Anthropic (`tool_use`,
 * `tool_result` blocks) and the Vercel AI SDK (`tool-call`, `tool-result` parts). A call that is answered
 * within the same message can't be split from its result, and so is neither.
 */
export function toolCallsOf(message: { readonly [field: string]: unknown }): ToolCalls {
  const { tool_calls, tool_call_id, content } = message
  const calls = Array.isArray(tool_calls) ? (tool_calls as Block[]) : []
  const blocks = Array.isArray(content) ? (content as Block[]) : []
  const of = (type: string) => blocks.filter((block) => block?.type === type)
  const opens = texts([
    ...[...calls, ...of('tool_use')].map((call) => call?.id),
    ...of('tool-call').map((part) => part.toolCallId),
  ])
  const answers = texts([
    tool_call_id,
    ...of('tool_result').map((block) => block.tool_use_id),
    ...of('tool-result').map((part) => part.toolCallId),
  ])
  return { opens: without(opens, answers), answers: without(answers, opens) }
}

/** Each id once; half a surrogate pair, which UTF-8 can't carry, is replaced as every encoder does. */
function texts(values: readonly unknown[]): ReadonlySet<string> {
  const ids = values.filter((value): value is string => typeof value === 'string' && value !== '')
  return new Set(ids.map((id) => (/\p{Surrogate}/u.test(id) ? Buffer.from(id).toString() : id)))
}

function without(ids: ReadonlySet<string>, others: ReadonlySet<string>): string[] {
  return [...ids].filter((id) => !others.has(id))
}
