import { createServer, type Server, type Socket } from 'node:net'
import { claimPort, releasePort } from './ports.js'
import { type Endpoint, Link, type Loss, type Weather } from './proxy-link.js'

export type { Endpoint } from './proxy-link.js'

export type CommandMatch = (command: readonly string[]) => boolean

/** `requests` go to the server, `replies` come from it. */
export type Direction = 'requests' | 'replies' | 'both'

/** Replies that are being dropped. */
export interface DroppedReplies {
  /** The commands that ran without their client knowing, so far. */
  readonly commands: readonly (readonly string[])[]
  /** Resolves when all that were asked for have been dropped. */
  readonly done: Promise<void>
}

/** A TCP proxy between a client and a server: the network's faults, one method each. */
export interface FaultProxy extends AsyncDisposable {
  readonly host: '127.0.0.1'
  readonly port: number
  /** `redis://` without credentials. */
  readonly url: string
  /** Clients connected now. */
  readonly connections: number
  /** Clients that ever connected. */
  readonly accepted: number
  /** Stops listening and cuts all connections: ECONNREFUSED. */
  refuse(): Promise<void>
  /** Cuts the open connections; new ones are accepted. */
  cut(): void
  /** Delays each reply by `ms`; requests go through at once. */
  delay(ms: number): void
  /**
   * Accepts connections, and swallows what comes, without a reply or an end. What was swallowed is lost, so
   * `restore()` cuts the affected connections.
   */
  blackHole(options?: { readonly direction?: Direction }): void
  /** Reads nothing more, so that the peers' send buffers fill; `restore()` delivers everything late. */
  stall(): void
  /**
   * The next `n` commands that match run on the server, and then their connection is cut instead of
   * delivering the reply. Without `match`, any but the clients' own housekeeping (`HELLO`, `INFO` …).
   * A command that the server refuses with an error has not run: its client gets the error, and the next
   * match meets the loss. Subscriptions and TLS cannot be matched.
   */
  dropReplies(n?: number, match?: CommandMatch): DroppedReplies
  /** Ends every fault, including losses that are still due; listens again. */
  restore(): Promise<void>
  /** Sets where new connections go; `cut()` makes the open ones follow. */
  retarget(target: Endpoint): void
  close(): Promise<void>
}

const housekeeping = new Set(
  'PING HELLO CLIENT AUTH SELECT INFO COMMAND CLUSTER READONLY READWRITE SENTINEL ROLE QUIT ECHO'.split(' '),
)
const host = '127.0.0.1'

export async function startProxy(target: Endpoint): Promise<FaultProxy> {
  const proxy = new TcpProxy(await claimPort(), target)
  await proxy.listen()
  return proxy
}

interface Dropping {
  remaining: number
  readonly match: CommandMatch
  readonly ran: (command: readonly string[]) => void
}

class TcpProxy implements FaultProxy, Weather {
  readonly host = host
  readonly url: string
  readonly #links = new Set<Link>()
  #server: Server | undefined
  #target: Endpoint
  #droppings: Dropping[] = []
  accepted = 0
  delayMs = 0
  swallowRequests = false
  swallowReplies = false
  stalled = false

  constructor(
    readonly port: number,
    target: Endpoint,
  ) {
    this.#target = target
    this.url = `redis://${host}:${port}`
  }

  get connections(): number {
    return [...this.#links].filter(({ connected }) => connected).length
  }

  async listen(): Promise<void> {
    if (this.#server) return
    const server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client))
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.port, host, resolve)
    })
    server.unref()
  }

  async refuse(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    const closed = new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()))
    this.cut()
    await closed
  }

  cut(): void {
    for (const link of this.#links) link.destroy()
  }

  delay(ms: number): void {
    this.delayMs = ms
    this.#follow()
  }

  blackHole({ direction = 'both' }: { readonly direction?: Direction } = {}): void {
    this.swallowRequests = direction !== 'replies'
    this.swallowReplies = direction !== 'requests'
  }

  stall(): void {
    this.stalled = true
    this.#follow()
  }

  dropReplies(n = 1, match: CommandMatch = isUsers): DroppedReplies {
    const commands: (readonly string[])[] = []
    const done = new Promise<void>((resolve) => {
      const ran = (command: readonly string[]) => {
        commands.push(command)
        if (commands.length === n) resolve()
      }
      this.#droppings.push({ remaining: n, match, ran })
    })
    return { commands, done }
  }

  lossFor(command: readonly string[]): Loss | undefined {
    const dropping = this.#droppings.find(({ remaining, match }) => remaining > 0 && match(command))
    if (!dropping) return undefined
    dropping.remaining--
    return {
      ran: dropping.ran,
      missed: () => {
        dropping.remaining++
      },
    }
  }

  async restore(): Promise<void> {
    this.delayMs = 0
    this.swallowRequests = false
    this.swallowReplies = false
    this.stalled = false
    this.#droppings = []
    for (const link of this.#links) if (link.broken) link.destroy()
    this.#follow()
    await this.listen()
  }

  retarget(target: Endpoint): void {
    this.#target = target
  }

  async close(): Promise<void> {
    await this.refuse()
    releasePort(this.port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #accept(client: Socket): void {
    this.accepted++
    const link: Link = new Link(client, this.#target, this, () => this.#links.delete(link))
    this.#links.add(link)
  }

  #follow(): void {
    for (const link of this.#links) link.follow()
  }
}

function isUsers(command: readonly string[]): boolean {
  return !housekeeping.has(command[0]?.toUpperCase() ?? '')
}
