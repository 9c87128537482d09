/** What a command is made of. Numbers are written as text by the caller; clients differ in what they make of them. */
export type Argument = string | Buffer

/** A reply in the shapes of RESP2, whichever protocol carried it: doubles as text, maps as flat arrays, booleans as 0 or 1. */
export type Reply = null | string | number | Buffer | Reply[]

export interface SendOptions {
  /** The key that routes the command in a Cluster; without it any node may answer. */
  readonly key?: Argument | undefined
  /** The command changes nothing, so a replica may answer it. @default false */
  readonly readOnly?: boolean | undefined
  /** Bulk strings of the reply as Buffers. @default false */
  readonly buffers?: boolean | undefined
}

export interface ClientEvents {
  /** The client can take commands (again). */
  ready(): void
  /** The connection ended; commands that were in flight are rejected by the client. */
  end(error: Error | undefined): void
  /** Something went wrong that does not end the connection by itself. */
  error(error: Error): void
}

/** Who waits for a reply. A client that queues commands before it sends them drops those of a settled caller. */
export interface Caller {
  readonly settled: boolean
}

/** The client could not take the command: it was certainly not sent. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError'
}

export type MessageHandler = (message: string, channel: string) => void

export type LibraryName = 'node-redis' | 'ioredis' | 'valkey-glide'

/**
 * One client of one library, as core sees it. An adapter knows the library and nothing of evenkeel:
 * no deadline, no breaker, no retries.
 */
export interface ClientPort {
  readonly library: LibraryName
  readonly topology: 'standalone' | 'cluster'
  readonly isReady: boolean
  /** Why the client is not ready, and what its owner can do about it. */
  readonly notReady: string
  /** The client was closed by its owner, and does not connect by itself again. */
  readonly isEnded: boolean
  /** What the library itself would put before keys. Commands are sent without it; our namespace begins with it. */
  readonly keyPrefix: string
  /** Makes a client connect that does so at its first command; the first command may not be one of ours. */
  wake(): void
  /** One round trip. Rejects with the library's own error; never throws synchronously. */
  send(args: readonly Argument[], options: SendOptions, caller?: Caller): Promise<Reply>
  /**
   * MULTI, the commands and EXEC in one write. Resolves with the reply of each command, which is an Error for one
   * that failed; rejects when nothing was executed, or whether it was is unknown.
   */
  transaction(
    commands: readonly (readonly Argument[])[],
    options: SendOptions,
  ): Promise<readonly (Reply | Error)[]>
  /** The same, on every primary of a Cluster; on the one server elsewhere. For what has no key, such as SCAN. */
  primaries(): Promise<readonly Send[]>
  /** Follows the client's state from now on; the returned function stops it. */
  watch(events: ClientEvents): () => void
  /**
   * A client of the same target for subscriptions alone (a RESP2 subscriber can send nothing else). Rejects when
   * `signal` aborts, leaving no socket.
   */
  subscriber(signal: AbortSignal): Promise<SubscriberPort>
  /** Lets what is in flight finish, then ends the connection. */
  close(): Promise<void>
  /** Ends the connection now: no socket is left, every command in flight rejects. Synchronous, may be repeated. */
  kill(): void
}

export type Send = (args: readonly Argument[], options: SendOptions, caller?: Caller) => Promise<Reply>

export interface SubscriberPort {
  /** Resolves when the server has confirmed. Sharded channels are used in a Cluster. */
  subscribe(channel: string, handler: MessageHandler): Promise<void>
  unsubscribe(channel: string): Promise<void>
  watch(events: ClientEvents): () => void
  close(): Promise<void>
  kill(): void
}

/** Where and how to connect: one endpoint of a topology, resolved. */
export interface Target {
  readonly host: string
  readonly port: number
  /** A unix socket, instead of host and port. */
  readonly path?: string | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly database: number
  readonly tls: TlsOptions | false
  /** Shown by CLIENT LIST. */
  readonly clientName?: string | undefined
  readonly connectTimeoutMs: number
}

/** Of Node's `tls.connect`, what a connection to Redis needs. */
export interface TlsOptions {
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined
  readonly cert?: string | Buffer | undefined
  readonly key?: string | Buffer | undefined
  /** Of an encrypted `key`. */
  readonly passphrase?: string | undefined
  readonly servername?: string | undefined
  /** @default true */
  readonly rejectUnauthorized?: boolean | undefined
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  readonly ciphers?: string | undefined
}

export interface HostAndPort {
  readonly host: string
  readonly port: number
}

/** The nodes of a Cluster to begin with; `target` holds what all nodes share. */
export interface ClusterTarget {
  readonly nodes: readonly HostAndPort[]
  readonly target: Omit<Target, 'host' | 'port' | 'path'>
  readonly readFrom: 'primary' | 'replica' | 'nearest'
  /** Turns an address that the Cluster tells of a node into the one to connect to. */
  readonly translate: (address: HostAndPort) => HostAndPort
}

/** A client library that core can make clients with. */
export interface ClientLibrary {
  readonly name: LibraryName
  /** The npm version where the library tells it, else its major version. */
  readonly version: string
  /** A client that connects once and never again by itself. Rejects when `signal` aborts, leaving no socket. */
  open(target: Target, signal: AbortSignal): Promise<ClientPort>
  openCluster(target: ClusterTarget, signal: AbortSignal): Promise<ClientPort>
}

/** What a library tells of a node, `'10.0.0.1:6379'` or `'fd00::1:6379'`: the port is behind the last colon. */
export function splitAddress(address: string): HostAndPort {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(at + 1)) }
}
