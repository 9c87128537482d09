import { createAgentMemory, createSessions } from '@evenkeel/agent-memory'
import { createSessionStore } from '@evenkeel/agent-memory/express-session'
import { type Connection, createHealthHandler, toNodeHandler } from '@evenkeel/core'
import { createMetricsHandler } from '@evenkeel/core/prometheus'
import express, { type Express } from 'express'
import session from 'express-session'

declare module 'express-session' {
  interface SessionData {
    user: string
  }
}

/** A model, which streams the words of its answer. */
export type Model = (messages: readonly { role: string; content?: unknown }[]) => AsyncIterable<string>

export interface ChatApp {
  readonly app: Express
  close(): Promise<void>
}

/** Routes to log in, chat, follow an answer from any instance, read a chat, and log out. */
export function createChatApp(options: {
  redis?: Connection | undefined
  model: Model
  secret: string
  /** The bearer token that gives access to the metrics and the health of Redis. @default no access */
  operatorToken?: string | undefined
}): ChatApp {
  const { redis, model, secret, operatorToken } = options
  const authorize = (request: Request) =>
    operatorToken !== undefined && request.headers.get('authorization') === `Bearer ${operatorToken}`
  // This comes first because it registers the MeterProvider that agent memory uses.
  const metrics = createMetricsHandler({ authorize })
  const memory = createAgentMemory({ redis })
  const sessions = createSessions({ redis })
  const app = express()
  if (redis !== undefined) app.use('/health', toNodeHandler(createHealthHandler(redis, { authorize })))
  app.get('/metrics', toNodeHandler(metrics))
  app.use(express.json())
  app.use(session({ store: createSessionStore(sessions), secret, resave: false, saveUninitialized: false }))

  app.post('/login', (request, response) => {
    // The session gets a new id at login, so that an id that was known before gives no access.
    request.session.regenerate(() => {
      request.session.user = String(request.body.user)
      response.json({ user: request.session.user })
    })
  })
  app.post('/logout', (request, response) => {
    request.session.destroy(() => response.json({}))
  })
  app.use((request, response, next) => {
    if (request.session.user === undefined) response.status(401).json({ error: 'log in first' })
    else next()
  })

  const threadOf = (user: string | undefined, chat: string) => memory.owner(`user:${user}`).thread(chat)

  app.post('/chats/:chat', async (request, response) => {
    const thread = threadOf(request.session.user, request.params.chat)
    // The client gives each message an id, so a message that it sends again after a timeout is stored once.
    const { id, content } = request.body
    const { status } = await thread.append({ id, role: 'user', content })
    const { messages, stale } = await thread.window({ maxTokens: 4_000, anchored: true })
    const answerId = `answer to ${id}`
    const known = status === 'duplicate' ? await thread.get(answerId) : undefined
    if (known !== undefined) {
      response.json({ status, answered: 'duplicate', stale, text: known.message.content })
      return
    }
    const draft = thread.draft({ id: answerId })
    let text = ''
    for await (const word of model(messages)) {
      text += word
      draft.write(word)
    }
    const answer = await draft.finalize({ id: draft.id, role: 'assistant', content: text })
    response.json({ status, answered: answer.status, stale, text })
  })
  app.get('/chats/:chat/answers/:id', async (request, response) => {
    const thread = threadOf(request.session.user, request.params.chat)
    const gone = new AbortController()
    response.on('close', () => gone.abort())
    for await (const { text } of thread.follow(request.params.id, { signal: gone.signal }))
      response.write(text)
    response.end()
  })
  app.get('/chats/:chat', async (request, response) => {
    const { messages, stale } = await threadOf(request.session.user, request.params.chat).window({
      maxMessages: 50,
    })
    response.json({ messages, stale })
  })
  return {
    app,
    close: async () => {
      await memory.close()
      await sessions.close()
    },
  }
}
