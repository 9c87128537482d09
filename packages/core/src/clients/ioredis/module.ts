import type { Argument, ClientEvents } from '../port.js'
import { watchClient } from '../watch.js'

/** What core uses of an ioredis client, of its Cluster, and of look-alikes such as iovalkey. */
export interface IoredisClient {
  /** Absent in ioredis-mock. */
  readonly status?: string
  readonly isCluster?: boolean
  readonly options?: {
    readonly keyPrefix?: string
    readonly enableAutoPipelining?: boolean
    readonly host?: string
    readonly port?: number
  }
  readonly stream?: { destroy(): void } | null
  /** Absent in ioredis-mock, which is called by the methods of its commands. */
  call?(...args: readonly Argument[]): Promise<unknown>
  callBuffer?(...args: readonly Argument[]): Promise<unknown>
  connect?(): Promise<unknown>
  multi(): IoredisMulti
  sendCommand?(command: object, ...rest: readonly unknown[]): unknown
  duplicate(...args: readonly object[]): IoredisClient
  /** Of a Cluster. */
  nodes?(role: 'master'): IoredisClient[]
  /** Of a Cluster: the addresses of the nodes of each slot, the primary first. */
  readonly slots?: readonly (readonly string[] | undefined)[]
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  ssubscribe?(channel: string): Promise<unknown>
  sunsubscribe?(channel: string): Promise<unknown>
  quit(): Promise<unknown>
  disconnect(): void
  on(event: string, listener: (...values: never[]) => void): unknown
  off(event: string, listener: (...values: never[]) => void): unknown
}

/** A transaction that is put together before it is sent. */
export interface IoredisMulti {
  call?(...args: readonly Argument[]): unknown
  exec(): Promise<readonly (readonly [Error | null, unknown])[] | null>
}

export interface IoredisModule {
  readonly Redis: new (options: object) => unknown
  readonly Cluster: new (nodes: readonly object[], options: object) => unknown
}

const stateEvents = ['ready', 'error', 'close', 'end', 'reconnecting'] as const

export function isReady(client: IoredisClient): boolean {
  return client.status === undefined || client.status === 'ready'
}

export function watch(client: IoredisClient, events: ClientEvents): () => void {
  return watchClient(client, stateEvents, () => isReady(client), events)
}

/** disconnect() alone waits two seconds for a peer that does not answer, so the stream is destroyed too. */
export function end(client: IoredisClient): void {
  client.disconnect()
  client.stream?.destroy()
}
