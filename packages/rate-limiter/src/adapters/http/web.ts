import { onAbort, watchedBody } from '@evenkeel/core/kit'
import { AnswerLife } from './answer-life.js'

/**
 * How long an answer's body may lie unread before its slot goes back: the reader that never comes is gone, though
 * nothing says so.
 */
const maxUnreadMs = 60_000

/** The life of an answer to a `Request` of the web: its signal aborts when the client leaves, where a server says so. */
export function lifeOfWebAnswer(request: Request): AnswerLife {
  const life = new AnswerLife()
  const { signal } = request
  const left = () => life.end({ status: 499, aborted: true })
  life.whenOver(onAbort(signal, left))
  return life
}

/** The same answer; its life ends with its body, read to the end or not. A HEAD request's is dropped by the server. */
export function endWithBody(request: Request, response: Response, life: AnswerLife): Response {
  const { status } = response
  if (life.isOver) return response
  if (response.body === null || request.method === 'HEAD') {
    life.end({ status, aborted: false })
    return response
  }
  return watchedBody(response, {
    onEnd: (how) => life.end({ status, aborted: how.kind !== 'read' }),
    maxUnreadMs,
  })
}
