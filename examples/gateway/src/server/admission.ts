import { connect, type Server, type Socket } from 'node:net'

/** How often the gateway knocks at its own door. */
const everyMs = 100
/** So often in a row it must be late before it refuses: a pause of the process is no lack of capacity. */
const minLate = 3
/** Of a refusal's share: what is added while it is late, and taken back while it is not. */
const [more, less] = [0.2, 0.05]
const maxShare = 0.95

/**
 * Sheds a part of the newcomers while there are more than the process can serve. What waits, waits in the kernel's queue
 * of connections, where no process sees it: so the gateway connects to itself, and takes the time until it hears of that.
 * Whom it refuses costs a tenth of whom it serves, and is told when to come again; those who are let in are answered
 * while they still wait.
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

  /** @param maxWaitMs for how long a newcomer may wait to be let in before the gateway counts as beyond its capacity */
  constructor(server: Server, maxWaitMs: number, random: () => number = Math.random) {
    this.#server = server
    this.#maxWaitMs = maxWaitMs
    this.#random = random
    server.on('listening', () => this.#begin())
    server.on('close', () => this.#end())
    server.prependListener('connection', (socket: Socket) => this.#letIn(socket))
  }

  /** Whether a newcomer is to be served. */
  admits(): boolean {
    return this.#share === 0 || this.#random() >= this.#share
  }

  /** Milliseconds that a newcomer waits at the moment until it is let in. */
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
    // Without a port of its own, or with all of them in use, nothing is known: then nobody is refused.
    socket.unref().once('error', () => {
      this.#knock = undefined
      this.#lastMs = 0
    })
  }

  #letIn(socket: Socket): void {
    const knock = this.#knock
    if (knock === undefined) return
    // Heard of here before it is known there: then its port is not known yet.
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
