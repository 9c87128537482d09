import type { AgentMemory } from '@evenkeel/agent-memory'
import type { ResponseCache, Wrapped } from '@evenkeel/llm-response-cache'
import { Body, Controller, Get, Inject, Param, Post, Req, UseGuards } from '@nestjs/common'
import type { Request } from 'express'
import { callerOf, LimitGuard } from './limit.guard.js'
import { CACHE, MEMORY, MODEL } from './tokens.js'

export interface ChatMessage {
  readonly role: string
  readonly content?: unknown
}

/** A provider's SDK goes here. */
export type Model = (messages: readonly ChatMessage[]) => Promise<string>

interface Question {
  /** Chosen by the client, so that a question that it sends again after a timeout is stored once. */
  readonly id: string
  readonly content: string
}

/** A chat that limits questions, caches answers and stores conversations. */
@Controller('chats')
@UseGuards(LimitGuard)
export class ChatController {
  readonly #ask: Wrapped<[readonly ChatMessage[]], string>

  constructor(
    @Inject(MEMORY) private readonly memory: AgentMemory,
    @Inject(CACHE) cache: ResponseCache,
    @Inject(MODEL) model: Model,
  ) {
    // An answer depends on what was said, not on who said it or on the ids of the messages.
    const key = (messages: readonly ChatMessage[]) => messages.map(({ role, content }) => [role, content])
    this.#ask = cache.wrap(model, { name: 'chat', key })
  }

  @Post(':chat')
  async say(@Req() request: Request, @Param('chat') chat: string, @Body() { id, content }: Question) {
    const thread = this.memory.owner(callerOf(request)).thread(chat)
    const { status } = await thread.append({ id, role: 'user', content })
    const answerId = `answer to ${id}`
    const known = status === 'duplicate' ? await thread.get(answerId) : undefined
    if (known !== undefined) return { answer: known.message.content, question: status }
    const { messages } = await thread.window({ maxTokens: 4_000 })
    const { value: answer, outcome } = await this.#ask.detailed(messages)
    await thread.append({ id: answerId, role: 'assistant', content: answer })
    return { answer, cache: outcome, question: status }
  }

  @Get(':chat')
  async read(@Req() request: Request, @Param('chat') chat: string) {
    const { messages } = await this.memory.owner(callerOf(request)).thread(chat).window({ maxMessages: 50 })
    return messages.map(({ role, content }) => ({ role, content }))
  }
}
