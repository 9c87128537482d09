import { isRecord, type Json } from '../json.js'
import type { ProtocolPlaces } from './canonical.js'
import type { Answers } from './rules.js'

/** Collects the objects of a request to which its protocol gives a special meaning. */
export class PlaceCollector implements ProtocolPlaces {
  readonly ids = new Map<object, Set<string>>()
  readonly omitted = new Map<object, Set<string>>()
  readonly ordered = new Set<object>()

  id(holder: unknown, ...names: readonly string[]): void {
    if (isRecord(holder)) this.ids.set(holder, new Set(names))
  }

  omit(holder: unknown, name: string): void {
    if (isRecord(holder)) this.omitted.set(holder, new Set([name]))
  }

  /** The order in a schema counts: providers write an answer's members in the order of its properties. */
  schema(schema: unknown): void {
    if (isRecord(schema)) this.ordered.add(schema)
  }
}

export function records(value: unknown): Json[] {
  return Array.isArray(value) ? value.filter(isRecord) : []
}

function member(value: unknown, ...names: readonly string[]): unknown {
  let found = value
  for (const name of names) found = isRecord(found) ? found[name] : undefined
  return found
}

/** Finds the generated ids, the members without effect, and the schemas in a request of one protocol. */
export function placesOf(answers: Answers, body: Json, renameIds: boolean): ProtocolPlaces {
  const places = new PlaceCollector()
  schemasOf(body, places)
  switch (answers) {
    case 'chat':
    case 'ollama':
      if (renameIds) chatIds(body, places)
      break
    case 'responses':
      if (renameIds) responsesIds(body, places)
      break
    case 'messages':
      anthropicPlaces(body, places, renameIds)
      break
    case 'gemini':
      if (renameIds) geminiIds(body, places)
  }
  return places
}

function chatIds({ messages }: Json, places: PlaceCollector): void {
  for (const message of records(messages)) {
    for (const call of records(message.tool_calls)) places.id(call, 'id')
    if (message.role === 'tool') places.id(message, 'tool_call_id')
  }
}

/** Generated ids of items that contain their content. A reference is not here, since its id is its content. */
const itemIds: Readonly<Record<string, readonly string[]>> = {
  message: ['id'],
  function_call: ['id', 'call_id'],
  function_call_output: ['id', 'call_id'],
  custom_tool_call: ['id', 'call_id'],
  custom_tool_call_output: ['id', 'call_id'],
  reasoning: ['id'],
}

function responsesIds({ input }: Json, places: PlaceCollector): void {
  for (const item of records(input)) {
    const type = item.type ?? (typeof item.role === 'string' ? 'message' : '')
    const names = itemIds[String(type)]
    if (names !== undefined) places.id(item, ...names)
  }
}

/** `cache_control` marks where the provider's prompt cache ends, which changes only the bill. */
function anthropicPlaces(body: Json, places: PlaceCollector, renameIds: boolean): void {
  places.omit(body, 'cache_control')
  for (const block of [...records(body.system), ...records(body.tools)]) places.omit(block, 'cache_control')
  for (const message of records(body.messages)) {
    for (const block of records(message.content)) {
      places.omit(block, 'cache_control')
      if (block.type === 'tool_result') {
        for (const inner of records(block.content)) places.omit(inner, 'cache_control')
      }
      if (!renameIds) continue
      if (block.type === 'tool_use' || block.type === 'server_tool_use') places.id(block, 'id')
      else if (String(block.type).endsWith('tool_result')) places.id(block, 'tool_use_id')
    }
  }
}

function geminiIds({ contents }: Json, places: PlaceCollector): void {
  for (const content of records(contents)) {
    for (const part of records(content.parts)) {
      for (const name of ['functionCall', 'functionResponse', 'function_call', 'function_response']) {
        places.id(part[name], 'id')
      }
    }
  }
}

/** Paths of schemas in a request, beside those of its tools. */
const schemaPlaces: readonly (readonly [string, ...string[]])[] = [
  ['response_format', 'json_schema', 'schema'],
  ['response_format', 'schema'],
  ['text', 'format', 'schema'],
  ['output_format', 'schema'],
  ['output_config', 'format', 'schema'],
  ...(['format', 'guided_json', 'structured_outputs', 'json_schema'] as const).map((name) => [name] as const),
  ...['generationConfig', 'generation_config'].flatMap((config) =>
    ['responseSchema', 'responseJsonSchema', 'response_schema', 'response_json_schema'].map(
      (name) => [config, name] as const,
    ),
  ),
]

function schemasOf(body: Json, places: PlaceCollector): void {
  const { tools, functions } = body
  for (const [name, ...within] of schemaPlaces) {
    if (body[name] !== undefined) places.schema(member(body[name], ...within))
  }
  for (const tool of [...records(tools), ...records(functions)]) {
    for (const holder of [tool, tool.function, ...declarationsOf(tool)]) {
      for (const name of [
        'parameters',
        'input_schema',
        'inputSchema',
        'parametersJsonSchema',
        'response',
        'schema',
      ]) {
        places.schema(member(holder, name))
      }
    }
  }
}

export function declarationsOf(tool: Json): Json[] {
  return [...records(tool.functionDeclarations), ...records(tool.function_declarations)]
}
