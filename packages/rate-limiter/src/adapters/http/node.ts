import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Admission } from './admission.js'
import { AnswerLife } from './answer-life.js'
import { problemType } from './problem.js'
import type { RequestView } from './subjects.js'

/** What subject functions see of a Node request. @param address as the framework knows it, proxies considered */
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
 * The life of an answer on Node. It ends when the answer has been passed to the operating system or its connection
 * closes; it may have ended already. The response of a pipelined request has no connection yet and is not told of its
 * end, so the socket of the request is watched too.
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
  // An HTTP/2 connection has many streams, whose responses close one by one.
  if (socket !== undefined && socket !== null && request.httpVersionMajor < 2) {
    const unfollow = followSocket(socket, end)
    life.whenOver(unfollow)
  }
  return life
}

const followed = new WeakMap<Socket, Set<() => void>>()

/** One listener for each connection, however many requests are pipelined on it. */
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

/** The answer to a refused request. */
export function refusalOf({ status, headers, problem }: Extract<Admission, { outcome: 'refused' }>): Refusal {
  return { status, headers: { ...headers, 'Content-Type': problemType }, body: JSON.stringify(problem) }
}
