import { onAbort, watchedBody } from '@evenkeel/core/kit'
import { AnswerLife } from './answer-life.js'

/**
 * How long the body of an answer may stay unread before its slot is released: a reader may have left without any
 * signal.
 */
const maxUnreadMs = 60_000

/** The life of an answer to a web `Request`. If the server supports it, its signal aborts when the client leaves. */
export function lifeOfWebAnswer(request: Request): AnswerLife {
  const life = new AnswerLife()
  const { signal } = request
  const left = () => life.end({ status: 499, aborted: true })
  life.whenOver(onAbort(signal, left))
  return life
}

/** Ends the answer's life with its body, read to the end or not. The server drops the body of an answer to HEAD. */
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
