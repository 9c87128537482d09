import type { ClientPort } from '../clients/port.js'

export interface LivenessHost {
  /** The client that commands go to, if there is one. */
  readonly client: ClientPort | undefined
  /** Whether commands are sent at the moment. */
  readonly isInUse: boolean
  /** When the server was last heard, on the monotonic clock. */
  readonly lastHeardAt: number
  /** The answer to the question whether Redis can be used; `reason` says why not. */
  verdict(alive: boolean, reason?: string): void
  /** The PING failed with an error, which is looked at before the verdict. */
  failed(error: Error, client: ClientPort): void
  /** Nothing was received for a deadline: no more commands are to be sent. */
  unresponsive(reason: string): void
  /** Gives up the socket. */
  drop(reason: string): void
}

/** Finds out whether Redis can be used: by a PING, past the breaker, and by the silence of a socket. */
export class Liveness {
  readonly #host: LivenessHost
  readonly #deadlineMs: number
  /** The client whose PING is unanswered. */
  #asked: ClientPort | undefined
  #stuckTimer: NodeJS.Timeout | undefined

  constructor(host: LivenessHost, deadlineMs: number) {
    this.#host = host
    this.#deadlineMs = deadlineMs
  }

  /**
   * Asks for a sign of life. One question at a time: a frozen server that answers it at last has shown that it is
   * back, and unanswered ones must not pile up in the client.
   */
  ask(): void {
    const { client } = this.#host
    // Without a client there is nothing to ask; the provider says when there is one.
    if (client === undefined || this.#asked === client) return this.#host.verdict(false)
    this.#asked = client
    const overdue = setTimeout(
      () => this.#host.verdict(false, `PING was not answered within ${this.#deadlineMs} ms`),
      this.#deadlineMs,
    )
    overdue.unref()
    const answered = (alive: boolean, reason?: string) => {
      clearTimeout(overdue)
      if (this.#asked !== client) return
      this.#asked = undefined
      if (this.#host.client === client) this.#host.verdict(alive, reason)
    }
    signOfLife(client).then(
      () => answered(true),
      (error: Error) => {
        this.#host.failed(error, client)
        answered(false, error.message)
      },
    )
  }

  /** A command passed its deadline and nothing was heard. If that goes on for another, the socket is given up. */
  silent(sentAt: number): void {
    if (!this.#host.isInUse) return
    this.#host.unresponsive(`Redis was silent for ${this.#deadlineMs} ms`)
    clearTimeout(this.#stuckTimer)
    this.#stuckTimer = setTimeout(() => {
      if (!this.#host.isInUse && this.#host.lastHeardAt <= sentAt)
        this.#host.drop('no reply for two deadlines')
    }, this.#deadlineMs)
    this.#stuckTimer.unref()
  }

  close(): void {
    clearTimeout(this.#stuckTimer)
  }
}

/** In a Cluster one dead node is no outage, and a PING goes to any: the first of a few answers counts. */
function signOfLife(client: ClientPort): Promise<unknown> {
  const ping = () => client.send(['PING'], {})
  if (client.topology === 'standalone') return ping()
  return Promise.any([ping(), ping(), ping()]).catch((error) => {
    throw error instanceof AggregateError ? error.errors[0] : error
  })
}
