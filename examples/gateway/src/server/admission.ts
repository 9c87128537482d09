import { connect, type Server, type Socket } from 'node:net'

/** How often the gateway connects to itself. */
const everyMs = 100
/** The gateway refuses after so many late checks in a row; a single pause of the process is no lack of capacity. */
const minLate = 3
/** How much the refused share grows with each late check, and shrinks with each check in time. */
const [more, less] = [0.2, 0.05]
const maxShare = 0.95

/**
 * Refuses a share of the requests while there are more than the process can serve. New connections wait in the kernel's
 * queue, which no process can see. So the gateway connects to itself and measures how long that connection waits. A
 * refusal costs a tenth of an answer and says when to try again; the admitted requests are answered in time.
 */
export class Admission {
  readonly #server: Server
  readonly #maxWaitMs: number
  readonly #random: () => number
  #timer: NodeJS.Timeout | undefined
  #knock: { readonly socket: Socket; readonly beganAt: number } | undefined
  #lastMs = 0
  #late = 0
  #share = 0

  /** @param maxWaitMs how long a connection may wait to be accepted before the gateway counts as overloaded */
  constructor(server: Server, maxWaitMs: number, random: () => number = Math.random) {
    this.#server = server
    this.#maxWaitMs = maxWaitMs
    this.#random = random
    server.on('listening', () => this.#begin())
    server.on('close', () => this.#end())
    server.prependListener('connection', (socket: Socket) => this.#letIn(socket))
  }

  /** Whether the gateway serves the next request; decided at random, by the refused share. */
  admits(): boolean {
    return this.#share === 0 || this.#random() >= this.#share
  }

  /** Milliseconds that a new connection currently waits until it is accepted. */
  get waitMs(): number {
    const overdueMs = this.#knock === undefined ? 0 : performance.now() - this.#knock.beganAt
    return Math.max(this.#lastMs, overdueMs)
  }

  #begin(): void {
    this.#timer = setInterval(() => this.#tick(), everyMs).unref()
  }

  #end(): void {
    clearInterval(this.#timer)
    this.#knock?.socket.destroy()
    this.#knock = undefined
  }

  #tick(): void {
    this.#late = this.waitMs > this.#maxWaitMs ? this.#late + 1 : 0
    const change = this.#late >= minLate ? more : this.#late > 0 ? 0 : -less
    this.#share = Math.min(maxShare, Math.max(0, this.#share + change))
    if (this.#knock !== undefined) return
    const address = this.#server.address()
    if (address === null || typeof address === 'string') return
    const host = address.family === 'IPv6' ? '::1' : '127.0.0.1'
    const socket = connect(
      address.port,
      address.address === '0.0.0.0' || address.address === '::' ? host : address.address,
    )
    this.#knock = { socket, beganAt: performance.now() }
    // If the connection fails, for example because no local port is free, the wait is unknown: nothing is refused.
    socket.unref().once('error', () => {
      this.#knock = undefined
      this.#lastMs = 0
    })
  }

  #letIn(socket: Socket): void {
    const knock = this.#knock
    if (knock === undefined) return
    // The server may accept the connection before the client's socket knows that it is connected, and its port.
    if (knock.socket.localPort === undefined) {
      knock.socket.once('connect', () => this.#letIn(socket))
      return
    }
    if (socket.remotePort !== knock.socket.localPort) return
    this.#lastMs = performance.now() - knock.beganAt
    this.#knock = undefined
    knock.socket.destroy()
    socket.destroy()
  }
}
