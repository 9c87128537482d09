import { rateLimit } from '@evenkeel/rate-limiter/web'
import { evenkeel } from '../../../lib/evenkeel'
import { ask, type ChatMessage } from '../../../lib/model'

export const runtime = 'nodejs'
export const dynamic = 'force-dynamic'

interface Question {
  readonly chat: string
  /** Chosen by the client, so that a question that it sends again after a timeout is stored once. */
  readonly id: string
  readonly content: string
}

/** The user who asks. Take it from your session; this example trusts a header that the browser sends. */
const userOf = (request: Request) => request.headers.get('x-user') ?? 'somebody'

/** The cache's key: an answer depends on what was said, not on who said it. */
const key = (messages: readonly ChatMessage[]) => messages.map(({ role, content }) => [role, content])

async function answer(request: Request): Promise<Response> {
  const { chat, id, content } = (await request.json()) as Question
  const { cache, memory } = await evenkeel
  const thread = memory.owner(userOf(request)).thread(chat)
  const { status } = await thread.append({ id, role: 'user', content })
  const answerId = `answer to ${id}`
  const known = status === 'duplicate' ? await thread.get(answerId) : undefined
  if (known !== undefined) return Response.json({ answer: known.message.content, question: status })
  const { messages } = await thread.window({ maxTokens: 4_000 })
  const { value, outcome } = await cache.wrap(ask, { name: 'chat', key }).detailed(messages)
  await thread.append({ id: answerId, role: 'assistant', content: value })
  return Response.json({ answer: value, cache: outcome, question: status })
}

async function read(request: Request): Promise<Response> {
  const { memory } = await evenkeel
  const chat = new URL(request.url).searchParams.get('chat') ?? ''
  const { messages } = await memory.owner(userOf(request)).thread(chat).window({ maxMessages: 50 })
  return Response.json(messages.map(({ id, role, content }) => ({ id, role, content })))
}

const limited = evenkeel.then(({ limiter }) =>
  rateLimit({ limiter, subject: (_view, request) => userOf(request) }),
)

export const POST = async (request: Request) => (await limited)(answer)(request)
export const GET = read
