import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

export interface Provider extends AsyncDisposable {
  readonly baseURL: string
  /** How often each question was asked. */
  readonly asked: ReadonlyMap<string, number>
}

/** A stand-in for a provider, so that the demo needs no API key. It answers after `delayMs` and counts questions. */
export async function startProvider(delayMs: number): Promise<Provider> {
  const asked = new Map<string, number>()
  const server = createServer(async (request, response) => {
    const { model, messages } = await bodyOf(request)
    const question = messages[0]?.content ?? ''
    asked.set(question, (asked.get(question) ?? 0) + 1)
    await pause(delayMs)
    const message = { role: 'assistant', content: `The answer to "${question}".` }
    const usage = { prompt_tokens: 20, completion_tokens: 80, total_tokens: 100 }
    const choices = [{ index: 0, message, finish_reason: 'stop' }]
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ id: 'c', object: 'chat.completion', created: 0, model, choices, usage }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function bodyOf(
  request: IncomingMessage,
): Promise<{ model: string; messages: readonly { content: string }[] }> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString())
}
