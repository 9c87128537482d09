import { connect, type Socket } from 'node:net'
import { type Frame, FrameReader, ReplyError } from './resp.js'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** A reply that is to be lost. */
export interface Loss {
  /** The reply came, so the command ran; the client does not get it. */
  ran(command: readonly string[]): void
  /** The command did not run, or nobody can know: the loss is still due. */
  missed(): void
}

/** What the proxy does at the moment, read by all its links. */
export interface Weather {
  readonly delayMs: number
  readonly swallowRequests: boolean
  readonly swallowReplies: boolean
  readonly stalled: boolean
  /** The loss that this command's reply meets, if any. */
  lossFor(command: readonly string[]): Loss | undefined
}

interface Expected {
  readonly command: readonly string[]
  readonly loss: Loss | undefined
}

const subscribing = /^[PS]?(UN)?SUBSCRIBE$/
const published = /^[ps]?((un)?subscribe|message)$/

/** One client's connection through the proxy, and the one to the server that belongs to it. */
export class Link {
  readonly #upstream: Socket
  readonly #requests = new FrameReader((bytes) => bytes.toString())
  readonly #replies = new FrameReader((bytes) => bytes)
  readonly #expected: Expected[] = []
  readonly #late: { readonly dueAt: number; readonly bytes: Buffer | undefined }[] = []
  #timer: NodeJS.Timeout | undefined
  #readable = true
  #subscriber = false
  #clientCut = false
  #swallowed = false

  constructor(
    private readonly client: Socket,
    target: Endpoint,
    private readonly weather: Weather,
    private readonly onClose: () => void,
  ) {
    this.#upstream = connect({ ...target, allowHalfOpen: true })
    for (const socket of [client, this.#upstream]) {
      socket.setNoDelay(true)
      socket.on('error', () => {}) // 'close' follows, and says all that matters here.
    }
    client.on('data', (chunk: Buffer) => this.#onRequest(chunk))
    client.on('end', () => this.#onClientGone())
    client.on('close', () => {
      this.#onClientGone()
      this.#closeWhenBothAre()
    })
    this.#upstream.on('data', (chunk: Buffer) => this.#onReply(chunk))
    this.#upstream.on('end', () => this.#onServerGone())
    this.#upstream.on('close', () => {
      this.#onServerGone()
      this.#closeWhenBothAre()
    })
    this.follow()
  }

  /** Whether the client's side is open. */
  get connected(): boolean {
    return !this.client.destroyed
  }

  /** Whether bytes or an end were swallowed, after which the two sides can never agree again. */
  get broken(): boolean {
    return this.#swallowed
  }

  destroy(): void {
    clearTimeout(this.#timer)
    this.client.destroy()
    this.#upstream.destroy()
    this.#missAll()
  }

  /** Applies a change of `weather`. */
  follow(): void {
    if (this.weather.stalled) {
      this.client.pause()
      this.#upstream.pause()
    } else {
      this.client.resume()
      this.#upstream.resume()
    }
    if (this.weather.delayMs === 0) this.#deliver(Number.POSITIVE_INFINITY)
  }

  #onRequest(chunk: Buffer): void {
    if (this.weather.swallowRequests) {
      this.#swallowed = true
      return
    }
    if (this.#readable) this.#expectReplies(chunk)
    this.#pour(chunk, this.client, this.#upstream)
  }

  #expectReplies(chunk: Buffer): void {
    let frames: Frame<string>[]
    try {
      frames = this.#requests.push(chunk)
    } catch {
      this.#readable = false // TLS, or an inline command: passed on unread.
      this.#missAll()
      return
    }
    for (const { value } of frames) {
      const command = Array.isArray(value) ? value.map(String) : [String(value)]
      const name = command[0]?.toUpperCase() ?? ''
      // Confirmations of subscriptions come like messages, not one for each command.
      if (subscribing.test(name)) this.#subscriber = true
      else this.#expected.push({ command, loss: this.weather.lossFor(command) })
    }
  }

  #onReply(chunk: Buffer): void {
    if (this.weather.swallowReplies) {
      this.#swallowed = true
      return
    }
    if (!this.#readable) {
      this.#send(chunk)
      return
    }
    for (const frame of this.#replies.push(chunk)) {
      const expected = this.#isPush(frame) ? undefined : this.#expected.shift()
      if (!expected?.loss) {
        this.#send(frame.bytes)
      } else if (frame.value instanceof ReplyError) {
        expected.loss.missed() // Refused, so it did not run.
        this.#send(frame.bytes)
      } else {
        expected.loss.ran(expected.command)
        this.#cutClient()
      }
    }
    // The server's side stays until the other replies that are to be lost have come too.
    if (this.#clientCut && !this.#expected.some(({ loss }) => loss)) this.#upstream.destroy()
  }

  #cutClient(): void {
    this.#clientCut = true
    clearTimeout(this.#timer)
    this.client.destroy()
  }

  #closeWhenBothAre(): void {
    if (this.client.destroyed && this.#upstream.destroyed) this.onClose()
  }

  #isPush({ type, value }: Frame<Buffer>): boolean {
    if (type === '>') return true
    return this.#subscriber && Array.isArray(value) && published.test(String(value[0]))
  }

  #onClientGone(): void {
    if (this.#clientCut) return
    if (this.weather.swallowRequests) this.#swallowed = true
    else this.destroy()
  }

  #onServerGone(): void {
    this.#missAll()
    if (this.weather.swallowReplies) this.#swallowed = true
    else this.#enqueue(undefined)
  }

  #missAll(): void {
    for (const { loss } of this.#expected.splice(0)) loss?.missed()
  }

  #send(bytes: Buffer): void {
    if (this.#clientCut) return
    if (this.weather.delayMs > 0 || this.#late.length > 0) this.#enqueue(bytes)
    else this.#pour(bytes, this.#upstream, this.client)
  }

  #enqueue(bytes: Buffer | undefined): void {
    this.#late.push({ dueAt: performance.now() + this.weather.delayMs, bytes })
    this.#deliver(performance.now())
  }

  #deliver(now: number): void {
    clearTimeout(this.#timer)
    for (let next = this.#late[0]; next && next.dueAt <= now; next = this.#late[0]) {
      this.#late.shift()
      if (next.bytes) this.#pour(next.bytes, this.#upstream, this.client)
      else this.client.destroySoon()
    }
    const next = this.#late[0]
    if (next) {
      const wait = Math.max(1, next.dueAt - performance.now())
      this.#timer = setTimeout(() => this.#deliver(performance.now()), wait).unref()
    }
  }

  /** Writes with back-pressure, so that a peer that does not read fills its sender's buffers, as without the proxy. */
  #pour(bytes: Buffer, from: Socket, to: Socket): void {
    if (to.destroyed || to.write(bytes) || from.isPaused()) return
    from.pause()
    to.once('drain', () => {
      if (!this.weather.stalled) from.resume()
    })
  }
}
