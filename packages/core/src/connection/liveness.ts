import type { ClientPort, Reply } from '../clients/port.js'
import { meaningOf, replyPrefix } from '../guard/error-meaning.js'
import { afterGrace } from '../guard/grace.js'
import { isError } from '../kit/cross-realm.js'

export interface LivenessHost {
  /** The client that commands go to, if there is one. */
  readonly client: ClientPort | undefined
  /** Whether commands are sent at the moment. */
  readonly isInUse: boolean
  /** When the server was last heard, on the monotonic clock. */
  readonly lastHeardAt: number
  /** The answer to the question whether Redis can be used; `reason` says why not. */
  verdict(alive: boolean, reason?: string): void
  /** The PING failed with an error. Called before the verdict. */
  failed(error: Error, client: ClientPort): void
  /** Nothing was received for a whole deadline: no more commands should be sent. */
  unresponsive(reason: string): void
  /** Gives up the socket. */
  drop(reason: string, cause?: 'demoted'): void
}

/** The server answers but refuses all writes. */
class ReadOnlyReplicaError extends Error {
  override readonly name = 'ReadOnlyReplicaError'

  constructor() {
    super('the server is a read-only replica')
  }
}

/** Finds out whether Redis can be used: by a PING that bypasses the breaker, and by the silence of the socket. */
export class Liveness {
  readonly #host: LivenessHost
  readonly #deadlineMs: number
  /** The client whose PING is unanswered. */
  #asked: ClientPort | undefined
  /** The client whose server was found to be no replica. */
  #writable: ClientPort | undefined
  #stuckTimer: NodeJS.Timeout | undefined

  constructor(host: LivenessHost, deadlineMs: number) {
    this.#host = host
    this.#deadlineMs = deadlineMs
  }

  /**
   * Asks for a sign of life, with one PING at a time: a frozen server that answers it at last has shown that it is
   * back, and unanswered PINGs must not pile up in the client.
   */
  ask(): void {
    const { client } = this.#host
    // Without a client there is nothing to ask; the provider reports when there is one.
    if (client === undefined || this.#asked === client) return this.#host.verdict(false)
    this.#asked = client
    let isOverdue = true
    const overdue = setTimeout(() => {
      afterGrace(() => {
        if (isOverdue) this.#host.verdict(false, `PING was not answered within ${this.#deadlineMs} ms`)
      })
    }, this.#deadlineMs)
    overdue.unref()
    const answered = (alive: boolean, reason?: string) => {
      clearTimeout(overdue)
      isOverdue = false
      if (this.#asked !== client) return
      this.#asked = undefined
      if (this.#host.client === client) this.#host.verdict(alive, reason)
    }
    this.#signOfLife(client).then(
      () => answered(true),
      (error: Error) => {
        this.#host.failed(error, client)
        answered(false, error.message)
        if (error instanceof ReadOnlyReplicaError && this.#host.client === client) {
          this.#host.drop(error.message, 'demoted')
        }
      },
    )
  }

  /** A write was refused by a replica: the server is asked for its role before it is used again. */
  demoted(): void {
    this.#writable = undefined
  }

  /** A command passed its deadline and nothing was heard. After another silent deadline, the socket is given up. */
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

  async #signOfLife(client: ClientPort): Promise<void> {
    // In a Cluster one dead node is no outage, and a PING may go to any node: one answer of three is enough.
    if (client.topology === 'cluster') return anyOf([ping(client), ping(client), ping(client)])
    if (this.#writable === client) return ping(client)
    const [, replication] = await Promise.all([
      ping(client),
      // If the user may not run INFO, the first write shows it.
      client.send(['INFO', 'replication'], {}).catch(() => ''),
    ])
    if (isReadOnlyReplica(replication)) throw new ReadOnlyReplicaError()
    this.#writable = client
  }
}

async function ping(client: ClientPort): Promise<void> {
  await client.send(['PING'], {}).catch((error: unknown) => {
    if (!isAnswer(error)) throw error
  })
}

/** A refusal also shows that the server is there, such as NOPERM for a user who may not PING. */
function isAnswer(error: unknown): boolean {
  return isError(error) && replyPrefix(error) !== undefined && meaningOf(error) === 'caller'
}

function isReadOnlyReplica(replication: Reply): boolean {
  const text = String(replication)
  return /^role:slave\r?$/m.test(text) && /^slave_read_only:1\r?$/m.test(text)
}

function anyOf(attempts: readonly Promise<void>[]): Promise<void> {
  return Promise.any(attempts).catch((error) => {
    throw error instanceof AggregateError ? error.errors[0] : error
  })
}
