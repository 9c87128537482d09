import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { lexicalEmbedder } from '@evenkeel/llm-response-cache/semantic'

export interface StandIn extends AsyncDisposable {
  readonly baseURL: string
  readonly calls: { chat: number; embeddings: number }
}

/**
 * A stand-in for a provider, so that the example runs without a key: embeddings by hashed words, and a
 * model that answers with the first passage of its prompt, after a while.
 */
export async function startStandIn(delayMs = 5): Promise<StandIn> {
  const embed = lexicalEmbedder()
  const calls = { chat: 0, embeddings: 0 }
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request)
    await new Promise((resolve) => setTimeout(resolve, delayMs))
    response.writeHead(200, { 'content-type': 'application/json' })
    if (request.url?.endsWith('/embeddings')) {
      calls.embeddings++
      const vectors = await embed([body.input].flat() as string[])
      const data = vectors.map((embedding, index) => ({ object: 'embedding', index, embedding }))
      response.end(
        JSON.stringify({
          object: 'list',
          model: body.model,
          data,
          usage: { prompt_tokens: 8, total_tokens: 8 },
        }),
      )
      return
    }
    calls.chat++
    const [system] = body.messages as { content: string }[]
    const content = `According to the documents: ${system?.content.split('\n- ')[1] ?? 'nothing is known.'}`
    const usage = { prompt_tokens: 120, completion_tokens: 20, total_tokens: 140 }
    const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }]
    response.end(
      JSON.stringify({ id: `c${calls.chat}`, object: 'chat.completion', model: body.model, choices, usage }),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    calls,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return JSON.parse(Buffer.concat(chunks).toString())
}
