import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Answer, type EngineShape, type EngineState, model } from './shapes.js'

/** How the next chat completions end. */
export type Fate = 'good' | 'overloaded' | 'failed' | 'stream-failure'

/** A server that answers as the engine does. */
export interface EngineStandIn extends AsyncDisposable {
  readonly endpoint: string
  state: EngineState
  fate: Fate
  /** Method and path of each request, in order. */
  readonly asked: string[]
}

export async function startEngine(shape: EngineShape): Promise<EngineStandIn> {
  const server = createServer((request, response) => {
    void answer(shape, engine, request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const engine: EngineStandIn = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    state: 'ready',
    fate: 'good',
    asked: [],
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
  return engine
}

async function answer(
  shape: EngineShape,
  engine: EngineStandIn,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://engine')
  engine.asked.push(`${request.method} ${pathname}`)
  let text = ''
  for await (const chunk of request) text += chunk
  const health = request.method === 'GET' ? shape.health(engine.state)[pathname] : undefined
  if (health !== undefined) return give(response, health)
  if (engine.state !== 'ready' && shape.whileLoading !== undefined) return give(response, shape.whileLoading)
  if (request.method === 'GET' && pathname === '/v1/models') return give(response, shape.models)
  if (request.method !== 'POST' || pathname !== '/v1/chat/completions') return give(response, shape.notFound)
  const body = JSON.parse(text) as { readonly model?: string; readonly stream?: boolean }
  if (body.model !== model) return give(response, shape.unknownModel)
  if (engine.fate === 'overloaded') return give(response, shape.overloaded)
  if (engine.fate === 'failed') return give(response, shape.failed)
  if (body.stream !== true) return give(response, { status: 200, body: completion })
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
  response.write(chunkOf({ role: 'assistant', content: '' }))
  response.write(chunkOf({ content: 'one' }))
  if (engine.fate === 'stream-failure') return void response.end(shape.streamFailure)
  response.write(chunkOf({ content: ' two' }))
  response.end(`${chunkOf({}, 'stop')}data: [DONE]\n\n`)
}

function give(response: ServerResponse, { status, body, type }: Answer): void {
  const isText = typeof body === 'string'
  const headers = body === undefined ? {} : { 'content-type': type ?? 'application/json' }
  response
    .writeHead(status, headers)
    .end(body === undefined ? undefined : isText ? body : JSON.stringify(body))
}

const completion = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_764_000_000,
  model,
  choices: [
    { index: 0, message: { role: 'assistant', content: 'one two' }, logprobs: null, finish_reason: 'stop' },
  ],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
}

function chunkOf(delta: object, reason: string | null = null): string {
  const chunk = {
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_764_000_000,
    model,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
  }
  return `data: ${JSON.stringify(chunk)}\n\n`
}
