import type { Fetch } from '../src/index.js'

/** A provider without a network: each call is answered by `answer`, and counted. */
export function fakeProvider(
  answer: (
    body: Record<string, unknown>,
    call: number,
    signal: AbortSignal | null | undefined,
  ) => Response | Promise<Response>,
) {
  const calls: { readonly body: Record<string, unknown>; readonly headers: Headers }[] = []
  const fetch: Fetch = async (_input, init = {}) => {
    const body = JSON.parse(String(init.body)) as Record<string, unknown>
    calls.push({ body, headers: new Headers(init.headers) })
    return answer(body, calls.length, init.signal)
  }
  return { fetch, calls }
}

export const chatUrl = 'https://api.example.com/v1/chat/completions'

export function chatCall(
  content: string,
  headers: Record<string, string> = {},
  more: object = {},
): RequestInit {
  const body = { model: 'm', messages: [{ role: 'user', content }], ...more }
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  }
}

export function completion(content: string, model: unknown = 'm'): Record<string, unknown> {
  return {
    id: 'c1',
    object: 'chat.completion',
    created: 1,
    model,
    choices: [
      {
        index: 0,
        logprobs: null,
        finish_reason: 'stop',
        message: { role: 'assistant', content, refusal: null },
      },
    ],
    usage: { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 },
  }
}

export function chatStream(content: string, withUsage = false): string {
  const chunk = (delta: object, finish_reason: string | null) => ({
    id: 'c1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index: 0, delta, finish_reason }],
  })
  const words = content.split(/(?<= )/)
  const usage = { prompt_tokens: 10, completion_tokens: 7, total_tokens: 17 }
  const events = [
    chunk({ role: 'assistant', content: '' }, null),
    ...words.map((word) => chunk({ content: word }, null)),
    chunk({}, 'stop'),
    ...(withUsage ? [{ ...chunk({}, null), choices: [], usage }] : []),
  ]
  return [...events.map((event) => `data: ${JSON.stringify(event)}\n\n`), 'data: [DONE]\n\n'].join('')
}

export function sse(...chunks: readonly (string | Uint8Array)[]): Response {
  const left = chunks.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk))
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const next = left.shift()
      if (next === undefined) controller.close()
      else controller.enqueue(new Uint8Array(next))
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

/** Waits a few turns, until everything has run that waits for no timer or network. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}
