import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Admission } from './admission.js'
import { problemType } from './problem.js'
import type { RequestView } from './subjects.js'

/** What key functions see of a request of Node's. @param address as the framework knows it, proxies considered */
export function viewOfNode(request: IncomingMessage, address: string | undefined): RequestView {
  return {
    header(name) {
      const value = request.headers[name]
      return Array.isArray(value) ? value[0] : value
    },
    address: address ?? request.socket.remoteAddress,
  }
}

/** Calls back when the answer is out, or the client has gone: whichever is first, Node says so once. */
export function whenEnded(
  response: ServerResponse,
  ended: (status: number, aborted: boolean) => unknown,
): void {
  response.once('close', () => void ended(response.statusCode, !response.writableFinished))
}

export interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What a refused request is answered. */
export function refusalOf({ status, headers, problem }: Extract<Admission, { allowed: false }>): Refusal {
  if (problem === undefined) return { status, headers, body: '' }
  return { status, headers: { ...headers, 'Content-Type': problemType }, body: JSON.stringify(problem) }
}
