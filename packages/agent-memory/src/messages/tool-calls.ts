import { digestText } from './ids.js'

/** Which tool calls a message makes, and which it answers, by the calls' ids. */
export interface ToolCalls {
  readonly opens: readonly string[]
  readonly answers: readonly string[]
}

type Fields = Readonly<Record<string, unknown>>

interface Found {
  readonly opens: Set<string>
  readonly answers: Set<string>
}

/**
 * Reads the shapes of OpenAI's chat completions (also the older `function_call`) and Responses items, of LangChain,
 * Anthropic, Google's Gemini, Amazon's Bedrock, the Vercel AI SDK (model messages, UI messages, approvals) and the
 * OpenAI Agents SDK. A call that is answered within the same message can't be split from its result, and so is neither.
 */
export function toolCallsOf(message: Fields): ToolCalls {
  const found: Found = { opens: new Set(), answers: new Set() }
  readChat(message, found)
  readItem(message, found)
  // The adapter for the OpenAI Agents SDK keeps an item whole.
  if (isFields(message.item)) readItem(message.item, found)
  const blocks = blocksOf(message.content)
  for (const block of blocks) readBlock(block, found)
  for (const block of blocks) readModelPart(block, found)
  readParts(blocksOf(message.parts), found)
  return { opens: without(found.opens, found.answers), answers: without(found.answers, found.opens) }
}

/** OpenAI's chat completions and LangChain. */
function readChat(message: Fields, { opens, answers }: Found): void {
  for (const call of [...blocksOf(message.tool_calls), ...blocksOf(message.invalid_tool_calls)])
    add(opens, call.id)
  add(answers, message.tool_call_id)
  // A message makes one such call, without an id, so the call is identified by its name.
  if (isFields(message.function_call)) addNamed(opens, 'function', message.function_call.name)
  if (message.role === 'function') addNamed(answers, 'function', message.name)
}

/** Items of OpenAI's Responses API, and of its Agents SDK, which writes the same in camel case. */
function readItem(item: Fields, { opens, answers }: Found): void {
  const { type } = item
  if (typeof type !== 'string') return
  const call = item.call_id ?? item.callId
  if (/_call$/.test(type)) add(opens, call)
  // For this result the API has only the call's id, as the item's own.
  else if (type === 'local_shell_call_output') add(answers, call ?? item.id)
  else if (/_(?:output|result)$/.test(type)) add(answers, call)
  const provider = isFields(item.providerData) ? item.providerData : item
  const approval = type === 'hosted_tool_call' ? item.name : type
  if (approval === 'mcp_approval_request') addNamed(opens, 'approval', item.id ?? provider.id)
  if (approval === 'mcp_approval_response') {
    addNamed(answers, 'approval', provider.approval_request_id ?? provider.approvalRequestId)
  }
}

/** Blocks of a content: Anthropic's and Bedrock's. */
function readBlock(block: Fields, { opens, answers }: Found): void {
  const type = typeof block.type === 'string' ? block.type : ''
  if (/tool_use$/.test(type)) add(opens, block.id)
  else if (/tool_result$/.test(type)) add(answers, block.tool_use_id)
  if (isFields(block.toolUse)) add(opens, block.toolUse.toolUseId)
  if (isFields(block.toolResult)) add(answers, block.toolResult.toolUseId)
}

/** Parts of the AI SDK's model messages. */
function readModelPart({ type, toolCallId, approvalId }: Fields, { opens, answers }: Found): void {
  if (type === 'tool-call') add(opens, toolCallId)
  else if (type === 'tool-result' || type === 'tool-error') add(answers, toolCallId)
  else if (type === 'tool-approval-request') addNamed(opens, 'approval', approvalId)
  else if (type === 'tool-approval-response') addNamed(answers, 'approval', approvalId)
}

/** States of the AI SDK's UI messages in which a call has been made, and has no result yet. */
const openStates = new Set(['input-available', 'approval-requested', 'approval-responded'])

/** Parts of a message: the AI SDK's UI messages, and Gemini's contents. */
function readParts(parts: readonly Fields[], { opens, answers }: Found): void {
  const times = new Map<string, number>()
  // Gemini's calls may have no id: then the first call of a name is answered by the first response of that name.
  const nameOf = (kind: string, { id, name }: Fields): unknown => {
    if (typeof id === 'string' && id !== '') return id
    const before = times.get(`${kind} ${name}`) ?? 0
    times.set(`${kind} ${name}`, before + 1)
    return `${name}#${before}`
  }
  for (const part of parts) {
    const { type, state, toolCallId, functionCall, functionResponse } = part
    const isTool = typeof type === 'string' && (type === 'dynamic-tool' || type.startsWith('tool-'))
    if (isTool && openStates.has(String(state))) add(opens, toolCallId)
    if (isFields(functionCall)) addNamed(opens, 'gemini', nameOf('call', functionCall))
    if (isFields(functionResponse)) addNamed(answers, 'gemini', nameOf('response', functionResponse))
  }
}

function blocksOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : []
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Maximum characters of an id that is stored unchanged; a longer one is replaced by its digest. */
const maxIdLength = 512

/** A lone surrogate, which UTF-8 can't encode, is replaced as every encoder does. */
function add(ids: Set<string>, id: unknown): void {
  if (typeof id !== 'string' || id === '') return
  if (id.length > maxIdLength) ids.add(`sha256:${digestText(id)}`)
  else ids.add(/\p{Surrogate}/u.test(id) ? Buffer.from(id).toString() : id)
}

function addNamed(ids: Set<string>, kind: string, name: unknown): void {
  if (typeof name === 'string' && name !== '') add(ids, `${kind}:${name}`)
}

function without(ids: ReadonlySet<string>, others: ReadonlySet<string>): string[] {
  return [...ids].filter((id) => !others.has(id))
}
