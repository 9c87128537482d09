import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type HttpBindings, serve } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { streamSSE } from 'hono/streaming'
import { Slots } from './slots.js'
import { answerTo, countTokens, embeddingOf, promptOf, type Said } from './text.js'

/** A stand-in for a decoder, with OpenAI's API. Its options set how slowly it writes tokens, and when it dies. */
const { values } = parseArgs({
  options: {
    slots: { type: 'string', default: '8' },
    /** Milliseconds a token. */
    pace: { type: 'string', default: '3' },
    /** The number of the answer in the middle of which the process exits. */
    'dies-at': { type: 'string' },
  },
})
const paceMs = Number(values.pace)
const diesAt = Number(values['dies-at'] ?? Number.POSITIVE_INFINITY)
const slots = new Slots(Number(values.slots))

interface ChatRequest {
  readonly model: string
  readonly messages: readonly Said[]
  readonly stream?: boolean
  readonly max_tokens?: number
}

interface EmbeddingsRequest {
  readonly model: string
  readonly input: string | string[]
  /** OpenAI's clients ask for base64 by default. */
  readonly encoding_format?: 'float' | 'base64'
}

let answers = 0
const app = new Hono<{ Bindings: HttpBindings }>()
app.get('/health', (context) => context.json({ status: 'ok' }))
app.post('/v1/chat/completions', async (context) => answer(context, await context.req.json<ChatRequest>()))
app.post('/v1/embeddings', async (context) => {
  const { input, model, encoding_format } = await context.req.json<EmbeddingsRequest>()
  const texts = [input].flat()
  const tokens = countTokens(texts.join(' '))
  await slots.use(() => pause(paceMs))
  const data = texts.map((text, index) => {
    const vector = embeddingOf(text)
    const base64 = () => Buffer.from(vector.buffer).toString('base64')
    return { object: 'embedding', index, embedding: encoding_format === 'base64' ? base64() : [...vector] }
  })
  return context.json({ object: 'list', model, data, usage: { prompt_tokens: tokens, total_tokens: tokens } })
})

function answer(context: Context, request: ChatRequest): Response | Promise<Response> {
  const dying = ++answers === diesAt
  const prompt = promptOf(request.messages)
  const promptTokens = countTokens(prompt)
  const tokens = Math.max(1, request.max_tokens ?? 24)
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: tokens,
    total_tokens: promptTokens + tokens,
  }
  const shared = { id: `chatcmpl-${answers}`, created: Math.floor(Date.now() / 1_000), model: request.model }
  // Reading the prompt is far quicker than writing the answer.
  const prefillMs = paceMs * (1 + promptTokens / 200)

  const write = async (onToken: (text: string) => Promise<void>) => {
    await pause(prefillMs)
    let index = 0
    let owedMs = 0
    for (const text of answerTo(prompt, tokens)) {
      if (dying && index++ === Math.floor(tokens / 2)) process.exit(1)
      owedMs += paceMs
      // Timers have a resolution of about a millisecond, so shorter pauses are added up.
      if (owedMs >= 2) {
        await pause(owedMs)
        owedMs = 0
      }
      await onToken(text)
    }
  }

  if (!request.stream) {
    return slots.use(async () => {
      let content = ''
      await write(async (text) => {
        content += text
      })
      const choice = { index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }
      return context.json({ ...shared, object: 'chat.completion', choices: [choice], usage })
    })
  }
  return streamSSE(context, (stream) =>
    slots.use(async () => {
      const send = (value: object) =>
        stream.writeSSE({ data: JSON.stringify({ ...shared, object: 'chat.completion.chunk', ...value }) })
      await send({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] })
      await write((content) => send({ choices: [{ index: 0, delta: { content }, finish_reason: null }] }))
      await send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
      await send({ choices: [], usage })
      await stream.writeSSE({ data: '[DONE]' })
    }),
  )
}

serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => process.send?.({ port }))
process.on('disconnect', () => process.exit(0))
