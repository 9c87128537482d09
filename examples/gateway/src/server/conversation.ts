import type { Message, Thread, Window } from '@evenkeel/agent-memory'
import { Stream } from 'openai/core/streaming'
import { ChatCompletionStream } from 'openai/lib/ChatCompletionStream'
import type { History } from './events.js'

const maxHistoryTokens = 8_000

export interface ConverseHost {
  /** Called when the caller's messages are stored and the history has been read. */
  onStored(history: History): void
  ask(messages: readonly Message[]): Promise<Response>
}

/**
 * One turn of a conversation. It appends the new messages and asks with the history, up to `maxHistoryTokens`. The
 * answer is appended before it ends for the caller, so that the next turn finds it, at whichever gateway it comes in.
 * A turn that is sent again under the same `id` is stored once.
 */
export async function converse(
  thread: Pick<Thread, 'append' | 'window'>,
  id: string,
  said: readonly Message[],
  { onStored, ask }: ConverseHost,
): Promise<Response> {
  const turn = said.map((message, index) => ({ ...message, id: `${id}:${index}` }))
  await thread.append(turn)
  const window = await thread.window({ maxTokens: maxHistoryTokens })
  // Redis may have lost the turn since (FLUSHALL, a failover). The decoder gets the caller's messages in any case.
  const known = new Set(window.messages.map((message) => message.id))
  const isLost = !known.has(`${id}:${said.length - 1}`)
  const lost = isLost ? turn.filter((message) => !known.has(message.id)) : []
  const history = isLost ? 'partial' : historyOf(window)
  onStored(history)
  const response = await ask([...window.messages, ...lost].map(({ id: _, ...message }) => message))
  response.headers.set('x-evenkeel-history', history)
  if (!response.ok || response.body === null) return response

  const [forCaller, forMemory] = response.body.tee()
  const kept = answerOf(new Response(forMemory, response)).then((answer) =>
    thread.append({ ...answer, id: `${id}:answer` }),
  )
  if (!isEventStream(response)) {
    await kept
    return new Response(forCaller, response)
  }
  // The stream reports an error to the caller. If the caller has left, this keeps the rejection from being unhandled.
  kept.catch(() => {})
  const untilKept = new TransformStream<Uint8Array, Uint8Array>({
    async flush() {
      await kept
    },
  })
  return new Response(forCaller.pipeThrough(untilKept), response)
}

function historyOf({ complete, stale }: Window): History {
  if (!complete) return 'partial'
  return stale ? 'stale' : 'whole'
}

async function answerOf(response: Response): Promise<Message> {
  if (isEventStream(response)) {
    const chunks = Stream.fromSSEResponse(response, new AbortController())
    return { ...(await ChatCompletionStream.fromReadableStream(chunks.toReadableStream()).finalMessage()) }
  }
  const { choices } = (await response.json()) as { choices?: readonly { message: Message }[] }
  const [choice] = choices ?? []
  if (choice === undefined) throw new Error('The decoder answered without a choice')
  return choice.message
}

function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type')?.includes('text/event-stream') === true
}
