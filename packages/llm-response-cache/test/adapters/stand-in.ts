import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface StandIn extends AsyncDisposable {
  readonly url: string
  /** Bodies of the calls that reached it. */
  readonly calls: Record<string, unknown>[]
  mode: 'whole' | 'length' | 'truncated' | 'error-inside' | 'failing'
  /** Milliseconds between the pieces of a stream, and before an answer. */
  delayMs: number
}

const pieces = ['Grüße', ', the ', 'answer is ', '42 🙂']
export const answerText = pieces.join('')

type Json = Record<string, unknown>

/** A stand-in for OpenAI's chat completions and Anthropic's messages, over real HTTP and server-sent events. */
export async function startStandIn(): Promise<StandIn> {
  const server = createServer((request, response) => {
    void bodyOf(request).then(async (body) => {
      standIn.calls.push(body)
      await pause(standIn.delayMs)
      if (standIn.mode === 'failing')
        return json(response, 500, { error: { message: 'overloaded', type: 'api_error' } })
      const kind = request.url?.endsWith('/messages')
        ? 'messages'
        : request.url?.endsWith('/responses')
          ? 'responses'
          : 'chat'
      const made = { messages: message, responses: responseObject, chat: completion }[kind]
      if (body.stream !== true) return json(response, 200, made(body))
      await stream(
        response,
        { messages: messageEvents, responses: responseEvents, chat: completionEvents }[kind](body),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const standIn: StandIn = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    mode: 'whole',
    delayMs: 0,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }

  const call = { name: 'weather', arguments: '{"entryKey":"Rome"}' }

  const completion = (body: Json): Json => {
    const finish_reason = standIn.mode === 'length' ? 'length' : body.tools ? 'tool_calls' : 'stop'
    const content = body.tools ? null : answerText
    const tool_calls = body.tools ? { tool_calls: [{ id: 'call_1', type: 'function', function: call }] } : {}
    return {
      id: 'c1',
      object: 'chat.completion',
      created: 1,
      model: body.model,
      choices: [{ index: 0, message: { role: 'assistant', content, ...tool_calls }, finish_reason }],
      usage: { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 },
    }
  }

  const completionEvents = (body: Json): string[] => {
    const chunk = (delta: object, finish_reason: string | null = null) => ({
      id: 'c1',
      object: 'chat.completion.chunk',
      created: 1,
      model: body.model,
      choices: [{ index: 0, delta, finish_reason }],
    })
    const deltas = body.tools
      ? [
          {
            tool_calls: [
              { index: 0, id: 'call_1', type: 'function', function: { name: call.name, arguments: '' } },
            ],
          },
          { tool_calls: [{ index: 0, function: { arguments: call.arguments.slice(0, 8) } }] },
          { tool_calls: [{ index: 0, function: { arguments: call.arguments.slice(8) } }] },
        ]
      : pieces.map((content) => ({ content }))
    const finish = standIn.mode === 'length' ? 'length' : body.tools ? 'tool_calls' : 'stop'
    const usage = { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 }
    const events = [
      ...deltas.map((delta) => chunk({ role: 'assistant', ...delta })),
      chunk({}, finish),
      { ...chunk({}), choices: [], usage },
    ]
    return [...events.map((event) => `data: ${JSON.stringify(event)}\n\n`), 'data: [DONE]\n\n']
  }

  const message = (body: Json): Json => ({
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: body.model,
    stop_sequence: null,
    content: body.tools
      ? [{ type: 'tool_use', id: 'toolu_1', name: call.name, input: JSON.parse(call.arguments) }]
      : [{ type: 'text', text: answerText }],
    stop_reason: standIn.mode === 'length' ? 'max_tokens' : body.tools ? 'tool_use' : 'end_turn',
    usage: { input_tokens: 10, output_tokens: 7 },
  })

  const messageEvents = (body: Json): string[] => {
    const whole = message(body)
    const block = body.tools
      ? { type: 'tool_use', id: 'toolu_1', name: call.name, input: {} }
      : { type: 'text', text: '' }
    const deltas = body.tools
      ? [call.arguments.slice(0, 8), call.arguments.slice(8)].map((part) => ({
          type: 'input_json_delta',
          partial_json: part,
        }))
      : pieces.map((text) => ({ type: 'text_delta', text }))
    const events: Json[] = [
      { type: 'message_start', message: { ...whole, content: [], stop_reason: null } },
      { type: 'content_block_start', index: 0, content_block: block },
      { type: 'ping' },
      ...deltas.map((delta) => ({ type: 'content_block_delta', index: 0, delta })),
      { type: 'content_block_stop', index: 0 },
      {
        type: 'message_delta',
        delta: { stop_reason: whole.stop_reason, stop_sequence: null },
        usage: { output_tokens: 7 },
      },
      { type: 'message_stop' },
    ]
    return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  }

  const responseObject = (body: Json): Json => ({
    id: 'resp_1',
    object: 'response',
    created_at: 1,
    model: body.model,
    status: 'completed',
    error: null,
    output: body.tools
      ? [{ type: 'function_call', id: 'fc_1', call_id: 'call_1', status: 'completed', ...call }]
      : [
          {
            type: 'message',
            id: 'msg_1',
            role: 'assistant',
            status: 'completed',
            content: [{ type: 'output_text', text: answerText, annotations: [] }],
          },
        ],
    usage: { input_tokens: 10, output_tokens: 7, total_tokens: 17 },
  })

  const responseEvents = (body: Json): string[] => {
    const whole = responseObject(body)
    const entryKey = { item_id: 'msg_1', output_index: 0, content_index: 0 }
    const events: Json[] = [
      { type: 'response.created', response: { ...whole, status: 'in_progress', output: [] } },
      {
        type: 'response.output_item.added',
        output_index: 0,
        item: { type: 'message', id: 'msg_1', content: [] },
      },
      ...pieces.map((delta) => ({ type: 'response.output_text.delta', ...entryKey, delta })),
      { type: 'response.completed', response: whole },
    ]
    return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  }

  const stream = async (response: ServerResponse, events: readonly string[]): Promise<void> => {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    for (const [at, event] of events.entries()) {
      if (at === 3 && standIn.mode === 'truncated') return void response.destroy()
      if (at === 3 && standIn.mode === 'error-inside') {
        const error = { type: 'error', error: { type: 'overloaded_error', message: 'server had an error' } }
        response.write(`event: error\ndata: ${JSON.stringify(error)}\n\n`)
      }
      const bytes = Buffer.from(event)
      // Split where it hurts: in the middle of an event, and of a character.
      for (let from = 0; from < bytes.length; from += 41) response.write(bytes.subarray(from, from + 41))
      await pause(standIn.delayMs)
    }
    response.end()
  }

  return standIn
}

async function bodyOf(request: IncomingMessage): Promise<Json> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString())
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'x-ratelimit-remaining-requests': '9' })
  response.end(JSON.stringify(body))
}

function pause(ms: number): Promise<void> {
  return ms === 0 ? Promise.resolve() : new Promise((resolve) => void setTimeout(resolve, ms).unref())
}
