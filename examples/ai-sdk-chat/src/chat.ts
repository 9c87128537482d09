import { type AgentMemory, createAgentMemory } from '@evenkeel/agent-memory'
import { type Chats, createChats } from '@evenkeel/agent-memory/ai-sdk'
import type { Connection } from '@evenkeel/core'
import {
  createUIMessageStream,
  createUIMessageStreamResponse,
  UI_MESSAGE_STREAM_HEADERS,
  type UIMessage,
} from 'ai'

/** Streams the words of an answer. Your application puts `streamText(…).toUIMessageStream()` here. */
export type Model = (messages: readonly UIMessage[]) => AsyncIterable<string>

export interface ChatService {
  /** `POST /api/chat/:id`: one message of the user; answers with the stream that `useChat` reads. */
  send(user: string, chatId: string, message: UIMessage): Promise<Response>
  /** `GET /api/chat/:id/stream`: the answer in progress, for a page that was reloaded; 204 if there is none. */
  resume(user: string, chatId: string): Promise<Response>
  /** `GET /api/chat/:id` */
  load(user: string, chatId: string): Promise<UIMessage[]>
  readonly memory: AgentMemory
}

export function createChatService(options: { redis?: Connection | undefined; model: Model }): ChatService {
  const memory = createAgentMemory({ redis: options.redis })
  const chatsOf = (user: string): Chats => createChats(memory.owner(`user:${user}`))
  return {
    memory,
    load: (user, chatId) => chatsOf(user).load(chatId),
    async send(user, chatId, message) {
      const chats = chatsOf(user)
      // Saved before the model is asked: whatever happens to the answer, the question is kept.
      await chats.save({ chatId, messages: [message] })
      const messages = await chats.window(chatId, { maxTokens: 8_000, anchored: true })
      const stream = createUIMessageStream<UIMessage>({
        originalMessages: messages,
        generateId: () => `answer-${message.id}`,
        execute: async ({ writer }) => {
          writer.write({ type: 'text-start', id: 'text' })
          for await (const delta of options.model(messages))
            writer.write({ type: 'text-delta', id: 'text', delta })
          writer.write({ type: 'text-end', id: 'text' })
        },
        onFinish: ({ messages: all }) => chats.save({ chatId, messages: all }),
      })
      return createUIMessageStreamResponse({
        stream,
        consumeSseStream: ({ stream: copy }) => chats.record({ chatId, stream: copy }),
      })
    },
    async resume(user, chatId) {
      const stream = await chatsOf(user).resume(chatId)
      if (stream === undefined) return new Response(null, { status: 204 })
      return new Response(stream.pipeThrough(new TextEncoderStream()), { headers: UI_MESSAGE_STREAM_HEADERS })
    },
  }
}
