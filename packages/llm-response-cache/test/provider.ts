import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Provider extends AsyncDisposable {
  readonly baseURL: string
  /** Calls that reached it. */
  calls: number
  /** How the next calls are answered. */
  mode: 'whole' | 'truncated' | 'reset' | 'error-inside' | 'length' | 'failing' | 'html' | 'endless' | 'crlf'
  /** Milliseconds before an answer, and between the pieces of a stream. */
  delayMs: number
  /** Streams whose client went away. */
  aborted: number
}

const words = ['Grüße', ', ', 'the ', 'answer ', 'is ', '42 ', '🙂']

/** A stand-in for a provider, over real HTTP and server-sent events. */
export async function startProvider(): Promise<Provider> {
  const server = createServer((request, response) => {
    provider.calls++
    void read(request).then((body) => answer(body, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const provider: Provider = {
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls: 0,
    mode: 'whole',
    delayMs: 0,
    aborted: 0,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }

  async function answer(body: Record<string, unknown>, response: ServerResponse): Promise<void> {
    await pause(provider.delayMs)
    if (provider.mode === 'failing') return json(response, 500, { error: { message: 'overloaded' } })
    if (provider.mode === 'html')
      return void response.writeHead(200, { 'content-type': 'application/json' }).end('<html>')
    if (body.stream) return stream(body, response)
    if (Array.isArray(body.input) || typeof body.input === 'string') {
      const data = [body.input]
        .flat()
        .map((_, index) => ({ object: 'embedding', index, embedding: [0.1, index] }))
      return json(response, 200, {
        object: 'list',
        model: body.model,
        data,
        usage: { prompt_tokens: 3, total_tokens: 3 },
      })
    }
    const finish_reason = provider.mode === 'length' ? 'length' : 'stop'
    const message = { role: 'assistant', content: words.join('') }
    const usage = { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 }
    json(response, 200, {
      id: 'c1',
      object: 'chat.completion',
      model: body.model,
      choices: [{ index: 0, message, finish_reason }],
      usage,
    })
  }

  async function stream(body: Record<string, unknown>, response: ServerResponse): Promise<void> {
    response.on('close', () => {
      if (!response.writableFinished) provider.aborted++
    })
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    const end = provider.mode === 'crlf' ? '\r\n\r\n' : '\n\n'
    const send = async (value: unknown) => {
      const bytes = Buffer.from(`data: ${typeof value === 'string' ? value : JSON.stringify(value)}${end}`)
      // Split where it hurts: in the middle of an event, and of a character.
      for (let at = 0; at < bytes.length; at += 37) response.write(bytes.subarray(at, at + 37))
      await pause(provider.delayMs)
    }
    const chunk = (delta: object, finish_reason: string | null = null) => ({
      id: 'c1',
      object: 'chat.completion.chunk',
      model: body.model,
      choices: [{ index: 0, delta, finish_reason }],
    })
    response.write(`: keep-alive${end}`)
    for (const [index, word] of words.entries()) {
      await send(chunk({ content: word }))
      if (index === 3 && provider.mode === 'truncated') return void response.end()
      if (index === 3 && provider.mode === 'reset') return void response.destroy()
      if (index === 3 && provider.mode === 'error-inside')
        await send({ error: { message: 'server had an error' } })
    }
    while (provider.mode === 'endless' && !response.destroyed) {
      const more = response.write(`data: ${JSON.stringify(chunk({ content: 'x'.repeat(10_000) }))}${end}`)
      // As a real server does, it waits for a client that reads slowly.
      if (more) await pause(1)
      else await Promise.race([once(response, 'drain'), once(response, 'close')])
    }
    if (response.destroyed) return
    await send(chunk({}, provider.mode === 'length' ? 'length' : 'stop'))
    await send({
      ...chunk({}),
      choices: [],
      usage: { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 },
    })
    await send('[DONE]')
    response.end()
  }

  return provider
}

async function read(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString())
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', 'x-ratelimit-remaining-requests': '9' })
  response.end(JSON.stringify(body))
}

function pause(ms: number): Promise<void> {
  return ms === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms))
}
