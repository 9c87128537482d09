/** An argument of a command. Callers write numbers as text, because clients treat numbers differently. */
export type Argument = string | Buffer

/** A reply in the shapes of RESP2, whatever the protocol: doubles as text, maps as flat arrays, booleans as 0 or 1. */
export type Reply = null | string | number | Buffer | Reply[]

export interface SendOptions {
  /** The key that routes the command in a Cluster; without it, any node may answer. */
  readonly key?: Argument | undefined
  /** The command changes nothing, so a replica may answer it. @default false */
  readonly readOnly?: boolean | undefined
  /** Whether the reply holds its bulk strings as Buffers. @default false */
  readonly buffers?: boolean | undefined
}

export interface ClientEvents {
  /** The client can accept commands (again). */
  ready(): void
  /** The connection has ended; the client rejects the commands that were in flight. */
  end(error: Error | undefined): void
  /** An error that does not end the connection. */
  error(error: Error): void
}

/** The caller that waits for a reply. A client that queues commands drops those whose caller is already settled. */
export interface Caller {
  readonly settled: boolean
}

/** The client could not accept the command, which was certainly not sent. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError'
}

export type MessageHandler = (message: string, channel: string) => void

export type LibraryName = 'node-redis' | 'ioredis' | 'valkey-glide'

/**
 * A client of any library, as core uses it. An adapter knows its library and nothing about evenkeel: it has no
 * deadlines, no breaker and no retries.
 */
export interface ClientPort {
  readonly library: LibraryName
  readonly topology: 'standalone' | 'cluster'
  readonly isReady: boolean
  /** Why the client is not ready, and what its owner can do about it. */
  readonly notReady: string
  /** The owner has closed the client, and it does not reconnect by itself. */
  readonly isEnded: boolean
  /** The prefix that the library would add to keys. Commands are sent without it; the namespace begins with it. */
  readonly keyPrefix: string
  /** Connects a client that would connect only at its first command; core sends none before the client is ready. */
  wake(): void
  /** One round trip. Rejects with the library's own error; never throws synchronously. */
  send(args: readonly Argument[], options: SendOptions, caller?: Caller): Promise<Reply>
  /**
   * Sends MULTI, the commands and EXEC in one write. Resolves with the reply of each command, or an Error for a command
   * that failed. Rejects if no command ran, or if that is unknown.
   */
  transaction(
    commands: readonly (readonly Argument[])[],
    options: SendOptions,
  ): Promise<readonly (Reply | Error)[]>
  /** `send` for every primary of a Cluster, or for the one server. For commands without a key, such as SCAN. */
  primaries(): Promise<readonly Send[]>
  /** Reports changes of the client's state from now on. Returns a function that stops it. */
  watch(events: ClientEvents): () => void
  /**
   * Opens a client of the same target that only subscribes (a RESP2 subscriber can't send other commands). Rejects if
   * `signal` aborts, and leaves no socket open.
   */
  subscriber(signal: AbortSignal): Promise<SubscriberPort>
  /** Ends the connection. The caller waits for commands in flight first; the client may reject them. */
  close(): Promise<void>
  /** Ends the connection now: leaves no socket and rejects all commands in flight. Synchronous, may be repeated. */
  kill(): void
}

export type Send = (args: readonly Argument[], options: SendOptions, caller?: Caller) => Promise<Reply>

export interface SubscriberPort {
  /** Resolves when the server has confirmed. In a Cluster, channels are sharded. */
  subscribe(channel: string, handler: MessageHandler): Promise<void>
  unsubscribe(channel: string): Promise<void>
  watch(events: ClientEvents): () => void
  close(): Promise<void>
  kill(): void
}

/** Where and how to connect: one endpoint of a topology. */
export interface Target {
  readonly host: string
  readonly port: number
  /** Path of a Unix socket, instead of host and port. */
  readonly path?: string | undefined
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly database: number
  readonly tls: TlsOptions | false
  /** Shown by CLIENT LIST. */
  readonly clientName?: string | undefined
  readonly connectTimeoutMs: number
}

/** The options of Node's `tls.connect` that apply to Redis. */
export interface TlsOptions {
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined
  readonly cert?: string | Buffer | undefined
  readonly key?: string | Buffer | undefined
  /** The passphrase of an encrypted `key`. */
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

/** The nodes of a Cluster to start with; `target` holds what all nodes share. */
export interface ClusterTarget {
  readonly nodes: readonly HostAndPort[]
  readonly target: Omit<Target, 'host' | 'port' | 'path'>
  readonly readFrom: 'primary' | 'replica' | 'nearest'
  /** Turns an address that the Cluster reports for a node into the address to connect to. */
  readonly translate: (address: HostAndPort) => HostAndPort
}

/** A client library with which core can open connections. */
export interface ClientLibrary {
  readonly name: LibraryName
  /** The npm version if the library reports it, else its major version. */
  readonly version: string
  /** Opens a client that connects once and never reconnects. Rejects if `signal` aborts, and leaves no socket open. */
  open(target: Target, signal: AbortSignal): Promise<ClientPort>
  openCluster(target: ClusterTarget, signal: AbortSignal): Promise<ClientPort>
}

/** Splits an address from a library, `'10.0.0.1:6379'` or `'fd00::1:6379'`: the port follows the last colon. */
export function splitAddress(address: string): HostAndPort {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port: Number(address.slice(at + 1)) }
}
