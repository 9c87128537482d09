import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { context, propagation, SpanKind, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createGateway, type Gateway } from '../src/server/gateway.js'
import { createGatewayServer, listen } from '../src/server/server.js'

const exporter = new InMemorySpanExporter()
const caller = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }
const traceparent = `00-${caller.traceId}-${caller.spanId}-01`

let redis: RedisServer
let decoder: Server
let gateway: Gateway
let server: Server
let url: string
/** The `traceparent` headers that the decoder received. */
const heard: string[] = []

beforeAll(async () => {
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  )
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  redis = await startRedis()
  decoder = createServer((request, response) => {
    // The pool's probes, which are GET requests, belong to no caller's trace.
    if (request.method === 'POST') heard.push(`${request.headers.traceparent}`)
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.once('end', () => answerAs(JSON.parse(body || '{}').stream === true, response))
  }).listen(0, '127.0.0.1')
  await once(decoder, 'listening')
  gateway = await createGateway({ redisUrl: redis.url, traces: true, nodeHosts: ['127.0.0.1'] })
  server = createGatewayServer(gateway)
  url = `http://127.0.0.1:${await listen(server)}`
  const endpoint = `http://127.0.0.1:${(decoder.address() as AddressInfo).port}`
  await gateway.pool.register({ id: 'decoder-1', endpoint, capacity: 8 })
})
afterAll(async () => {
  server?.closeAllConnections()
  server?.close()
  await gateway?.close()
  decoder?.closeAllConnections()
  decoder?.close()
  await redis?.close()
  trace.disable()
  context.disable()
  propagation.disable()
})
beforeEach(() => {
  heard.length = 0
  exporter.reset()
})

function answerAs(stream: boolean, response: import('node:http').ServerResponse): void {
  const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }
  const base = { id: 'chatcmpl-1', created: 1, model: 'demo-2026' }
  if (!stream) {
    const message = { role: 'assistant', content: 'a canary sings' }
    const choices = [{ index: 0, message, finish_reason: 'stop' }]
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ ...base, object: 'chat.completion', choices, usage }))
    return
  }
  const chunk = { ...base, object: 'chat.completion.chunk' }
  const delta = (content: string, finish_reason: string | null) => [
    { index: 0, delta: { content }, finish_reason },
  ]
  response.setHeader('content-type', 'text/event-stream')
  for (const event of [
    { ...chunk, choices: delta('a canary', null) },
    { ...chunk, choices: delta(' sings', 'stop') },
    { ...chunk, choices: [], usage },
  ])
    response.write(`data: ${JSON.stringify(event)}\n\n`)
  response.end('data: [DONE]\n\n')
}

async function ask(body: object, headers: Record<string, string> = {}): Promise<Response> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: 'Bearer c4nary-key',
      traceparent,
      ...headers,
    },
    body: JSON.stringify({ model: 'demo', max_tokens: 20, ...body }),
  })
  await response.text()
  return response
}

/** The spans of the caller's trace, once the gateway's own span, which is the last, has ended. */
async function spansOfTrace(): Promise<readonly ReadableSpan[]> {
  const all = () =>
    exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === caller.traceId)
  await until(() => all().some(({ kind }) => kind === SpanKind.SERVER), 20_000)
  return all()
}

/** The names from a span up to the one that has no parent here. */
function pathOf(span: ReadableSpan, spans: readonly ReadableSpan[]): string[] {
  const parent = spans.find((other) => other.spanContext().spanId === span.parentSpanContext?.spanId)
  return parent === undefined ? [span.name] : [...pathOf(parent, spans), span.name]
}

const user = (content: string) => ({ messages: [{ role: 'user', content }] })
const serverSpan = 'POST /v1/chat/completions'

describe('one request in a trace', () => {
  it('is seen from the gateway to Redis and the decoder, each below what asked for it', async () => {
    await ask(user('sing, canary'), { 'x-conversation-id': 'talk-7' })
    const spans = await spansOfTrace()
    const paths = new Set(spans.map((span) => pathOf(span, spans).join(' > ')))
    for (const path of [
      `${serverSpan} > rate_limiter check`,
      `${serverSpan} > rate_limiter check > EVALSHA`,
      `${serverSpan} > agent_memory append`,
      `${serverSpan} > agent_memory append > EVALSHA`,
      `${serverSpan} > agent_memory window`,
      `${serverSpan} > response_cache fetch`,
      `${serverSpan} > response_cache fetch > EVALSHA`,
      `${serverSpan} > response_cache fetch > decoder_pool run > chat demo`,
    ])
      expect([...paths], path).toContain(path)

    const gatewaySpan = spans.find(({ kind }) => kind === SpanKind.SERVER)
    expect(gatewaySpan?.parentSpanContext?.spanId).toBe(caller.spanId)
    expect(gatewaySpan?.attributes).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/v1/chat/completions',
      'http.response.status_code': 200,
    })
    const call = spans.find(({ name }) => name === 'chat demo')
    expect(call?.kind).toBe(SpanKind.CLIENT)
    expect(call?.attributes).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'demo',
      'gen_ai.request.max_tokens': 20,
      'gen_ai.response.id': 'chatcmpl-1',
      'gen_ai.response.model': 'demo-2026',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': 7,
      'gen_ai.usage.output_tokens': 3,
      'server.address': '127.0.0.1',
      'server.port': (decoder.address() as AddressInfo).port,
    })
    // The decoder continues the same trace, below the span of its call.
    expect(heard).toEqual([`00-${caller.traceId}-${call?.spanContext().spanId}-01`])
    const commands = spans.filter(({ attributes }) => attributes['db.system.name'] !== undefined)
    for (const { kind, name, attributes } of commands) {
      expect(kind).toBe(SpanKind.CLIENT)
      expect(attributes).toMatchObject({
        'db.system.name': 'redis',
        'db.operation.name': name,
        'db.namespace': '0',
        'server.address': redis.host,
        'server.port': redis.port,
      })
    }
    const append = spans.find(({ name }) => name === 'agent_memory append')
    expect(append?.attributes).toMatchObject({ 'gen_ai.conversation.id': 'talk-7' })
    // The spans contain no text, no API key and no key of Redis.
    expect(JSON.stringify(spans.map(({ attributes }) => attributes))).not.toMatch(/canary|c4nary/)
  })

  it('counts the tokens of a stream, whose span ends with it', async () => {
    await ask({ ...user('as a stream'), stream: true, stream_options: { include_usage: true } })
    const spans = await spansOfTrace()
    const call = spans.find(({ name }) => name === 'chat demo')
    expect(call?.attributes).toMatchObject({
      'gen_ai.usage.input_tokens': 7,
      'gen_ai.usage.output_tokens': 3,
      'gen_ai.response.finish_reasons': ['stop'],
    })
  })

  it('has no call of a decoder where the cache answers', async () => {
    await ask(user('twice'))
    await spansOfTrace()
    exporter.reset()
    await ask(user('twice'))
    const spans = await spansOfTrace()
    const lookup = spans.find(({ name }) => name === 'response_cache fetch')
    expect(lookup?.attributes).toMatchObject({ 'evenkeel.response_cache.outcome': 'hit' })
    expect(spans.map(({ name }) => name)).not.toContain('chat demo')
  })
})
