import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Argument, encodeCommand, FrameReader, type Reply, ReplyError } from './resp.js'

export interface AdminOptions {
  readonly port: number
  /** PEM of the authority, when the server speaks TLS. */
  readonly ca?: string | undefined
  /** The ACL user whose password nobody changes; absent where the server has none (sentinels). */
  readonly user?: string | undefined
  readonly timeoutMs?: number
}

interface Waiting {
  readonly resolve: (reply: Reply<Buffer>) => void
  readonly reject: (error: Error) => void
}

/**
 * A connection to a server without any client library, which works while the client under test is broken. It connects
 * on first use, and again after it was cut.
 */
export class AdminConnection {
  #socket: Socket | undefined
  #waiting: Waiting[] = []

  constructor(private readonly options: AdminOptions) {}

  /** The reply, with buffers for strings. An error reply rejects, as does silence for `timeoutMs` (10 s). */
  async send(args: readonly Argument[]): Promise<Reply<Buffer>> {
    const socket = this.#socket ?? this.#open()
    socket.ref()
    const timeoutMs = this.options.timeoutMs ?? 10_000
    const reply = this.#write(socket, args)
    const timer = setTimeout(() => {
      socket.destroy(
        new Error(`no reply to ${String(args[0])} from port ${this.options.port} in ${timeoutMs} ms`),
      )
    }, timeoutMs)
    try {
      const value = await reply
      if (value instanceof ReplyError) throw value
      return value
    } finally {
      clearTimeout(timer)
      // An idle connection must not keep the process alive.
      if (this.#waiting.length === 0) this.#socket?.unref()
    }
  }

  close(): void {
    this.#socket?.destroy()
  }

  #open(): Socket {
    const { port, ca, user } = this.options
    const address = { host: '127.0.0.1', port }
    const socket = ca === undefined ? connectPlain(address) : connectTls({ ...address, ca })
    const reader = new FrameReader((bytes) => Buffer.from(bytes))
    let failure: Error | undefined
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) this.#waiting.shift()?.resolve(frame.value)
    })
    socket.on('error', (error) => {
      failure = error
    })
    socket.on('close', () => {
      if (this.#socket === socket) this.#socket = undefined
      const error = failure ?? new Error(`the server at port ${port} closed the connection`)
      for (const waiting of this.#waiting.splice(0)) waiting.reject(error)
    })
    this.#socket = socket
    if (user !== undefined) this.#write(socket, ['AUTH', user, '']).catch(() => {})
    return socket
  }

  #write(socket: Socket, args: readonly Argument[]): Promise<Reply<Buffer>> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      socket.write(encodeCommand(args))
    })
  }
}

/** The same reply with UTF-8 strings for buffers. */
export function asText(reply: Reply<Buffer>): Reply {
  if (Buffer.isBuffer(reply)) return reply.toString()
  return Array.isArray(reply) ? reply.map(asText) : reply
}
