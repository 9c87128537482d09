import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

type Json = Record<string, unknown>

export interface StandInProvider extends AsyncDisposable {
  readonly url: string
  /** How often it was asked for an answer to this prompt. */
  callsFor(prompt: string): number
}

const words = ['Grüße', ', the ', 'answer is ', '42 🙂']
export const answer = words.join('')

/**
 * Stands in for OpenAI (chat, Responses), Anthropic, Mistral, Groq and Ollama, over HTTP. A call whose prompt has the
 * word `hold` is answered after `POST /release`; `GET /held` is answered once there is such a call.
 */
export async function startProvider(): Promise<StandInProvider> {
  const bodies: string[] = []
  const held: (() => void)[] = []
  let onHeld = () => {}
  const server = createServer((request, response) => void answerTo(request, response))
  const answerTo = async (request: IncomingMessage, response: ServerResponse) => {
    const path = request.url ?? ''
    if (path === '/held') {
      if (held.length === 0) {
        await new Promise<void>((resolve) => {
          onHeld = resolve
        })
      }
      return response.end()
    }
    if (path === '/release') {
      for (const release of held.splice(0)) release()
      return response.end()
    }
    const text = await textOf(request)
    // A pool's probe.
    if (request.method === 'GET') return response.setHeader('content-type', 'application/json').end('{}')
    bodies.push(text)
    if (text.includes('hold')) {
      const released = new Promise<void>((resolve) => held.push(resolve))
      onHeld()
      await released
    }
    const body = JSON.parse(text) as Json
    const isOllama = path.startsWith('/api/')
    if (isOllama ? body.stream === false : body.stream !== true) {
      return response.setHeader('content-type', 'application/json').end(JSON.stringify(wholeOf(path, body)))
    }
    response.setHeader('content-type', isOllama ? 'application/x-ndjson' : 'text/event-stream')
    for (const piece of piecesOf(path, body)) {
      response.write(piece)
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    callsFor: (prompt) => bodies.filter((body) => body.includes(prompt)).length,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function wholeOf(path: string, { model }: Json): Json {
  if (path.endsWith('/messages')) return { ...message(model), content: [{ type: 'text', text: answer }] }
  if (path.endsWith('/responses')) return response(model)
  if (path.startsWith('/api/')) return { ...ollamaPiece(model, answer), ...ollamaEnd }
  const choice = { index: 0, message: { role: 'assistant', content: answer }, finish_reason: 'stop' }
  return { ...completion('chat.completion', model), choices: [choice], usage }
}

function piecesOf(path: string, { model }: Json): string[] {
  if (path.startsWith('/api/')) {
    const last = { ...ollamaPiece(model, ''), ...ollamaEnd }
    return [...words.map((word) => ollamaPiece(model, word)), last].map(
      (piece) => `${JSON.stringify(piece)}\n`,
    )
  }
  if (path.endsWith('/messages')) return messageEvents(model).map(named)
  if (path.endsWith('/responses')) return responseEvents(model).map(named)
  const chunk = (delta: Json, finish_reason: string | null) => ({
    ...completion('chat.completion.chunk', model),
    choices: [{ index: 0, delta, finish_reason }],
  })
  const chunks = [
    ...words.map((content) => chunk({ role: 'assistant', content }, null)),
    { ...chunk({}, 'stop'), usage },
  ]
  return [...chunks.map((each) => `data: ${JSON.stringify(each)}\n\n`), 'data: [DONE]\n\n']
}

const usage = { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 }

function completion(object: string, model: unknown): Json {
  return { id: 'c1', object, created: 1, model }
}

function ollamaPiece(model: unknown, content: string): Json {
  return { model, created_at: '2026-01-01T00:00:00Z', message: { role: 'assistant', content }, done: false }
}

const ollamaEnd = { done: true, done_reason: 'stop', prompt_eval_count: 10, eval_count: 7 }

function message(model: unknown): Json {
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_sequence: null,
    stop_reason: 'end_turn',
    usage: { input_tokens: 10, output_tokens: 7 },
  }
}

function messageEvents(model: unknown): Json[] {
  return [
    { type: 'message_start', message: { ...message(model), stop_reason: null } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    ...words.map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
    { type: 'content_block_stop', index: 0 },
    {
      type: 'message_delta',
      delta: { stop_reason: 'end_turn', stop_sequence: null },
      usage: { output_tokens: 7 },
    },
    { type: 'message_stop' },
  ]
}

function response(model: unknown): Json {
  const content = [{ type: 'output_text', text: answer, annotations: [] }]
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1,
    model,
    status: 'completed',
    error: null,
    output: [{ type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content }],
    usage: { input_tokens: 10, output_tokens: 7, total_tokens: 17 },
  }
}

function responseEvents(model: unknown): Json[] {
  const place = { item_id: 'msg_1', output_index: 0, content_index: 0 }
  return [
    { type: 'response.created', response: { ...response(model), status: 'in_progress', output: [] } },
    {
      type: 'response.output_item.added',
      output_index: 0,
      item: { type: 'message', id: 'msg_1', content: [] },
    },
    ...words.map((delta) => ({ type: 'response.output_text.delta', ...place, delta })),
    { type: 'response.completed', response: response(model) },
  ]
}

function named(event: Json): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/**
 * What every script of these tests does with an SDK, whose part declares `ask(prompt, streamed, signal)`, which gives
 * the text. It reports the texts, the outcome of each call, and whether a cached stream has the bytes of the first one.
 */
export function tryOut(sdk: string, { abort = true } = {}): string {
  return `
  import { createResponseCache } from '@evenkeel/llm-response-cache'
  ${sdk.slice(0, sdk.indexOf('---'))}
  const url = process.env.PROVIDER_URL ?? ''
  const cache = createResponseCache()
  const cached = cache.fetch()
  const outcomes: (string | null)[] = []
  const bodies: Promise<string>[] = []
  let begun = 0
  const fetched: typeof fetch = async (input, init) => {
    const pending = cached(input, init)
    begun++
    const response = await pending
    outcomes.push(response.headers.get('x-evenkeel-cache'))
    bodies.push(response.clone().text())
    return response
  }
  ${sdk.slice(sdk.indexOf('---') + 3)}
  const stored = async (count: number) => {
    while (cache.stats().stored < count) await new Promise((resolve) => setImmediate(resolve))
  }
  const whole = [await ask('one', false)]
  await stored(1)
  whole.push(await ask('one', false))
  const streams = [await ask('two', true)]
  await stored(2)
  streams.push(await ask('two', true))
  const [, , first, second] = await Promise.all(bodies)
  const told: Record<string, unknown> = { whole, streams, outcomes: [...outcomes], sameBytes: first === second }
  if (${abort}) {
    const leaving = new AbortController()
    const left = ask('hold', false, leaving.signal).then(() => 'answered', (error: Error) => error.name)
    await fetch(url + '/held')
    const staying = ask('hold', false)
    while (begun < 6) await new Promise((resolve) => setImmediate(resolve))
    leaving.abort()
    told.left = await left
    await fetch(url + '/release', { method: 'POST' })
    told.stayed = await staying
  }
  await cache.close()
  console.log(JSON.stringify(told))`
}

/** What it reports if all is right. */
export const right = {
  whole: [answer, answer],
  streams: [answer, answer],
  outcomes: ['miss', 'hit', 'miss', 'hit'],
  sameBytes: true,
}
