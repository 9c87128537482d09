import type { Argument } from '../port.js'

/** What core uses of a GlideClient and a GlideClusterClient. */
export interface GlideClient {
  customCommand(args: readonly Argument[], options?: object): Promise<unknown>
  exec(batch: object, raiseOnError: boolean, options?: object): Promise<readonly unknown[] | null>
  close(errorMessage?: string): void
  subscribe(channels: readonly string[], timeoutMs?: number): Promise<unknown>
  unsubscribe(channels: readonly string[], timeoutMs?: number): Promise<unknown>
  /** Of a cluster client. */
  ssubscribe?(channels: readonly string[], timeoutMs?: number): Promise<unknown>
  sunsubscribe?(channels: readonly string[], timeoutMs?: number): Promise<unknown>
  /** Both exist, although the library's types show them only to subclasses. */
  readonly isClosed?: boolean
  readonly config?: object
}

export interface GlideClass {
  createClient(options: object): Promise<GlideClient>
}

export interface GlideBatch {
  customCommand(args: readonly Argument[]): unknown
}

export interface GlideModule {
  readonly GlideClient: GlideClass
  readonly GlideClusterClient: GlideClass
  readonly Batch: new (isAtomic: boolean) => GlideBatch
  readonly ClusterBatch: new (isAtomic: boolean) => GlideBatch
  readonly Logger?: { init(level?: string): void }
}

export const protocol = { resp3: 0, resp2: 1 } as const
export const decoder = { bytes: 0, text: 1 } as const

export function isCluster(client: GlideClient): boolean {
  return typeof client.ssubscribe === 'function'
}

/** Closes a client only once: each close rejects every command that the client ever had in flight. */
export function closeOnce(client: GlideClient): void {
  if (client.isClosed !== true) client.close()
}
