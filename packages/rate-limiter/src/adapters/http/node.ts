import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Admission } from './admission.js'
import { AnswerLife } from './answer-life.js'
import { problemType } from './problem.js'
import type { RequestView } from './subjects.js'

/** What key functions see of a request of Node's. @param address as the framework knows it, proxies considered */
export function viewOfNode(request: IncomingMessage, address: string | undefined): RequestView {
  return {
    header(name) {
      const value = request.headers[name]
      return Array.isArray(value) ? value[0] : value
    },
    address: address ?? request.socket?.remoteAddress,
  }
}

/**
 * The life of an answer on Node: it ends when it has been handed to the operating system, when its connection
 * closes, or has ended already. A pipelined request's response has no connection yet and hears nothing of its end,
 * so the request's socket is followed too.
 */
export function lifeOfNodeAnswer(request: IncomingMessage, response: ServerResponse): AnswerLife {
  const life = new AnswerLife()
  const { socket } = request
  const end = () => life.end({ status: response.statusCode, aborted: !response.writableFinished })
  if (response.destroyed || response.writableFinished || socket?.destroyed) {
    end()
    return life
  }
  response.once('finish', end)
  response.once('close', end)
  // In HTTP/2 a connection has many streams, whose responses are closed one by one.
  if (socket !== undefined && socket !== null && request.httpVersionMajor < 2) {
    const unfollow = followSocket(socket, end)
    life.whenOver(unfollow)
  }
  return life
}

const followed = new WeakMap<Socket, Set<() => void>>()

/** One listener a connection, however many requests are pipelined on it. */
function followSocket(socket: Socket, closed: () => void): () => void {
  let callbacks = followed.get(socket)
  if (callbacks === undefined) {
    const own = new Set<() => void>()
    callbacks = own
    followed.set(socket, own)
    socket.once('close', () => {
      for (const callback of [...own]) callback()
    })
  }
  callbacks.add(closed)
  return () => callbacks.delete(closed)
}

export interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What a refused request is answered. */
export function refusalOf({ status, headers, problem }: Extract<Admission, { outcome: 'refused' }>): Refusal {
  return { status, headers: { ...headers, 'Content-Type': problemType }, body: JSON.stringify(problem) }
}
